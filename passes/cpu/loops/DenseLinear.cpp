// SPDX-License-Identifier: Apache-2.0
//
// Linear layers that are not on phases: dense weights in their stored type, and
// int8 weights with a scale per row.
#include "dialect/Fairy2LoopOps.h"
#include "dialect/Fairy2PackedOps.h"
#include "dialect/phase/Packing.h"
#include "passes/cpu/loops/PackedLinear.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace fairy2 {

/// parallel for 4 rows of the weight:
///   for token:
///     sums = 16 partial sums of each row
///     for vector: x = in[token]; for row r: sums[r] += x float32(w[r])
///     out[token] = tree sum of each, + bias
void lowerDenseLinear(PackedLinearOp op, PackOp pack, LoopContext &context) {
  RankedTensorType type = weightType(pack);
  Type element = type.getElementType();
  const int64_t rows = type.getDimSize(0), columns = type.getDimSize(1);
  const int64_t elementBytes = type.getElementTypeBitWidth() / 8;
  const DensePack layout{rows, columns, elementBytes, bool(pack.getBiases())};
  const int64_t rowStride = layout.rowBytes() / elementBytes;
  // Rows of a step share each load of the input and hide the latency of sums.
  const int64_t together = rows % 4 == 0 ? 4 : rows % 2 == 0 ? 2 : 1;
  std::string elementName;
  llvm::raw_string_ostream(elementName) << element;
  Kernel kernel(
      context, op,
      llvm::formatv("dense_linear_{0}x{1}_{2}", rows, columns, elementName));
  const Rows in = kernel.rows(op.getInput());
  const Argument weights = kernel.weights(pack, 0, element, rows * rowStride);
  const Rows out = kernel.rows(op.getResult(0));
  const Argument count = kernel.tokens(op.getInput());
  Argument biases;
  if (layout.hasBias)
    biases = kernel.weights(pack, layout.biasOffset(),
                            Float32Type::get(op.getContext()), rows);
  nameKernelOf(pack, "dense");

  kernel.emit([&](Emitter &e) {
    e.forall(e.index(rows / together), [&](Value step) {
      Value firstRow = e.mul(step, together);
      Value weightRow = e.mul(firstRow, rowStride);
      e.forLoop(e.index(0), count, [&](Value i) {
        Value from = in.row(e, i);
        SmallVector<Value> init(together, e.constant(e.floats(), 0.0));
        SmallVector<Value> sums = e.forRow(
            columns, init, [&](Value offset, Value mask, ValueRange carried) {
              Value x =
                  e.keep(e.loadVector(in, e.add(from, offset), kLanes), mask);
              SmallVector<Value> next;
              for (int64_t r = 0; r < together; ++r) {
                Value w = e.loadFloats(
                    weights, e.add(e.add(weightRow, offset), r * rowStride));
                next.push_back(e.add(carried[r], e.mul(x, w)));
              }
              return next;
            });
        Value to = e.add(out.row(e, i), firstRow);
        for (int64_t r = 0; r < together; ++r) {
          Value y = e.treeSum(sums[r]);
          if (biases)
            y = e.add(y, e.load(biases, e.add(firstRow, r)));
          e.store(y, out, e.add(to, r));
        }
      });
    });
  });
}

/// parallel for tile of 16 rows:
///   for token:
///     dot = 16 exact sums
///     for 4 columns: dot += (x + 128) w
///     out[token] = (dot - 128 sum of w) * (scales of rows * scale of token)
void lowerInt8Linear(PackedLinearOp op, PackOp pack, LoopContext &context) {
  RankedTensorType type = weightType(pack);
  const Int8Pack layout{type.getDimSize(0), type.getDimSize(1)};
  const int64_t tileRows = Int8Pack::kTileRows;
  const int64_t tileValues = layout.tiles() * tileRows;
  Type i8 = IntegerType::get(op.getContext(), 8),
       i32 = IntegerType::get(op.getContext(), 32),
       f32 = Float32Type::get(op.getContext());
  Kernel kernel(
      context, op,
      llvm::formatv("int8_linear_{0}x{1}", layout.rows, layout.columns));
  const Rows in = kernel.words(op.getInput());
  const Rows tokenScales = kernel.rows(op.getScales());
  const Argument weights = kernel.weights(pack, layout.valueOffset(), i8,
                                          layout.tiles() * layout.tileBytes());
  const Argument rowScales =
      kernel.weights(pack, layout.scaleOffset(), f32, tileValues);
  const Argument rowSums =
      kernel.weights(pack, layout.sumOffset(), i32, tileValues);
  const Rows out = kernel.rows(op.getResult(0));
  const Argument count = kernel.tokens(op.getInput());
  nameKernelOf(pack, "int8-dot");
  const CpuTarget::Dot4 *dot4 = kernel.target().dot4();
  const bool isSigned = dot4 && dot4->hasSignedLhs;

  kernel.emit([&](Emitter &e) {
    e.forall(e.index(layout.tiles()), [&](Value tile) {
      Value firstRow = e.mul(tile, tileRows);
      Value values = e.mul(tile, layout.tileBytes());
      Value scales = e.loadVector(rowScales, firstRow, tileRows, 64);
      Value sums = e.loadVector(rowSums, firstRow, tileRows, 64);
      // Where bytes have to be unsigned they enter the product as x + 128; the
      // row's sum of weights takes the excess away.
      Value excess = arith::ShLIOp::create(e, sums, e.constant(e.ints(), 7));
      e.forLoop(e.index(0), count, [&](Value i) {
        Value from = in.row(e, i);
        Value dot = e.forLoop(
            e.index(0), e.index(layout.groups()), 1, {e.constant(e.ints(), 0)},
            [&](Value g, ValueRange carried) -> SmallVector<Value> {
              Value four = e.load(in, e.add(from, g));
              if (!isSigned)
                four = arith::XOrIOp::create(
                    e, four,
                    e.constant(e.getI32Type(), int64_t(int32_t(0x80808080))));
              Value x = e.bitcast(e.bytes(4 * tileRows), e.splat(four));
              Value w =
                  e.loadVector(weights, e.add(values, e.mul(g, 4 * tileRows)),
                               4 * tileRows, 64);
              return {Dot4AccumulateOp::create(e, carried[0], x, w, isSigned)};
            })[0];
        if (!isSigned)
          dot = e.sub(dot, excess);
        Value y = e.mul(arith::SIToFPOp::create(e, e.floats(), dot),
                        e.mul(scales, e.splat(e.load(tokenScales, i))));
        e.storeRows(y, out, e.add(out.row(e, i), firstRow),
                    e.sub(e.index(layout.rows), firstRow),
                    layout.rows % tileRows == 0);
      });
    });
  });
}

} // namespace fairy2
