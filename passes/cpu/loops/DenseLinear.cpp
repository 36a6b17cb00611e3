// SPDX-License-Identifier: Apache-2.0
//
// Linear layers that are not on phases: dense weights in their stored type, and
// int8 weights with a scale per row.
#include "passes/cpu/loops/PhaseLinear.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace fairy2 {

void lowerDenseLinear(PackedLinearOp op, PackOp pack, LoopContext &context) {
  RankedTensorType type = context.weightType(pack);
  const int64_t rows = type.getDimSize(0), columns = type.getDimSize(1);
  const int64_t elementBytes = type.getElementTypeBitWidth() / 8;
  const DensePack layout{rows, columns, elementBytes, bool(pack.getBiases())};
  const int64_t rowStride = layout.rowBytes() / elementBytes;
  // Rows of a step share each load of the input and hide the latency of sums.
  const int64_t together = rows % 4 == 0 ? 4 : rows % 2 == 0 ? 2 : 1;
  const Buffer &in = context.buffer(op.getInput());
  const Buffer &out = context.buffer(op.getResult(0));
  SmallVector<Value> kernelArguments = {
      context.view(op.getInput()),
      context.weights(pack, 0, type.getElementType(), rows * rowStride),
      context.view(op.getResult(0)), context.tokenCount(op.getInput())};
  if (layout.hasBias)
    kernelArguments.push_back(context.weights(
        pack, layout.biasOffset(), Float32Type::get(op.getContext()), rows));
  pack->setAttr("kernel", StringAttr::get(op.getContext(), "dense"));

  std::string element;
  llvm::raw_string_ostream(element) << type.getElementType();
  context.call(
      op.getLoc(),
      llvm::formatv("dense_linear_{0}x{1}_{2}_{3}_{4}{5}", rows, columns,
                    element, in.stride, out.stride,
                    layout.hasBias ? "_bias" : ""),
      kernelArguments, [&](Emitter &e, ValueRange a) {
        e.forall(e.index(rows / together), [&](Value step) {
          Value firstRow = e.mul(step, together);
          Value weightRow = e.mul(firstRow, rowStride);
          e.forLoop(e.index(0), a[3], [&](Value i) {
            Value from = e.mul(i, in.stride);
            SmallVector<Value> init(together, e.constant(e.floats(), 0.0));
            SmallVector<Value> sums = e.forRow(
                columns, init,
                [&](Value offset, Value mask, ValueRange carried) {
                  Value x = e.keep(
                      e.loadVector(a[0], e.add(from, offset), kLanes), mask);
                  SmallVector<Value> next;
                  for (int64_t r = 0; r < together; ++r) {
                    Value w = e.loadFloats(
                        a[1], e.add(e.add(weightRow, offset), r * rowStride));
                    next.push_back(e.add(carried[r], e.mul(x, w)));
                  }
                  return next;
                });
            Value to = e.add(e.mul(i, out.stride), firstRow);
            for (int64_t r = 0; r < together; ++r) {
              Value y = e.treeSum(sums[r]);
              if (layout.hasBias)
                y = e.add(y, e.load(a[4], e.add(firstRow, r)));
              e.store(y, a[2], e.add(to, r));
            }
          });
        });
      });
}

void lowerInt8Linear(PackedLinearOp op, PackOp pack, LoopContext &context) {
  RankedTensorType type = context.weightType(pack);
  const Int8Pack layout{type.getDimSize(0), type.getDimSize(1)};
  const int64_t tileRows = Int8Pack::kTileRows;
  const Buffer &in = context.buffer(op.getInput());
  const Buffer &out = context.buffer(op.getResult(0));
  Type i8 = IntegerType::get(op.getContext(), 8),
       i32 = IntegerType::get(op.getContext(), 32),
       f32 = Float32Type::get(op.getContext());
  Buffer words = in; // The int8 values, four to a word.
  words.element = i32;
  words.stride = in.stride / 4;
  pack->setAttr("kernel", StringAttr::get(op.getContext(), "int8-dot"));
  context.call(
      op.getLoc(),
      llvm::formatv("int8_linear_{0}x{1}_{2}_{3}", layout.rows, layout.columns,
                    in.stride, out.stride),
      {context.view(words), context.view(op.getScales()),
       context.weights(pack, layout.valueOffset(), i8,
                       layout.tiles() * layout.tileBytes()),
       context.weights(pack, layout.scaleOffset(), f32,
                       layout.tiles() * tileRows),
       context.weights(pack, layout.sumOffset(), i32,
                       layout.tiles() * tileRows),
       context.view(op.getResult(0)), context.tokenCount(op.getInput())},
      [&](Emitter &e, ValueRange a) {
        e.forall(e.index(layout.tiles()), [&](Value tile) {
          Value firstRow = e.mul(tile, tileRows);
          Value values = e.mul(tile, layout.tileBytes());
          Value scales = e.loadVector(a[3], firstRow, tileRows, 64);
          Value sums = e.loadVector(a[4], firstRow, tileRows, 64);
          // Bytes enter the product as x + 128, unsigned; the row's sum of
          // weights takes the excess away.
          Value excess =
              arith::ShLIOp::create(e, sums, e.constant(e.ints(), 7));
          e.forLoop(e.index(0), a[6], [&](Value i) {
            Value from = e.mul(i, words.stride);
            Value dot = e.forLoop(
                e.index(0), e.index(layout.groups()), 1,
                {e.constant(e.ints(), 0)},
                [&](Value g, ValueRange carried) -> SmallVector<Value> {
                  Value four = arith::XOrIOp::create(
                      e, e.load(a[0], e.add(from, g)),
                      e.constant(e.getI32Type(), int64_t(int32_t(0x80808080))));
                  Value x = e.bitcast(e.bytes(4 * tileRows), e.splat(four));
                  Value w =
                      e.loadVector(a[2], e.add(values, e.mul(g, 4 * tileRows)),
                                   4 * tileRows, 64);
                  return {Dot4AccumulateOp::create(e, carried[0], x, w)};
                })[0];
            Value y = e.mul(
                arith::SIToFPOp::create(e, e.floats(), e.sub(dot, excess)),
                e.mul(scales, e.splat(e.load(a[1], i))));
            storeRows(e, y, a[5], e.add(e.mul(i, out.stride), firstRow),
                      e.sub(e.index(layout.rows), firstRow),
                      layout.rows % tileRows == 0);
          });
        });
      });
}

} // namespace fairy2
