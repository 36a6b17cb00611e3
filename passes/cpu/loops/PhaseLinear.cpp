// SPDX-License-Identifier: Apache-2.0
//
// Linear layers on sign planes: the frame that all forms share.
//
// Phases, y = U x + W conj(x):
// For the code i^k = a + i b of a row and the int8 input x, the four sums
//   ar = sum a x_re   ai = sum a x_im   br = sum b x_re   bi = sum b x_im
// per set are exact integers; what differs between CPUs is only how they are
// found (PhaseLookup.cpp, and code by code for the oracle). The epilogue, in
// one fixed order of float32 operations, is the same for all. Real signs,
// y = S x, have one sum per plane and one real row where phases have two.
#include "passes/cpu/loops/PhaseLinear.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace fairy2 {

SmallVector<Buffer> phaseLinearScratch(PackedLinearOp op, PackOp pack,
                                       LoopContext &context) {
  if (!op.getScales() || context.target.form == LookupForm::Scalar)
    return {};
  Type i8 = IntegerType::get(op.getContext(), 8),
       i32 = IntegerType::get(op.getContext(), 32);
  const SignPlanePack layout = signPlanePackOf(pack);
  const int64_t blocks = layout.matrix(0).blocks(), spans = layout.spans();
  const int64_t tableBytes = blocks * kTableBytes;
  return {Buffer{0, context.batch, tableBytes, 0, i8},
          Buffer{0, context.batch, tableBytes, 0, i8},
          Buffer{0, context.batch, 2 * spans, 0, i32},
          Buffer{0, context.batch, spans + 1, 0, i32},
          Buffer{0, context.batch, blocks, 0, i32}};
}

//===----------------------------------------------------------------------===//
// The frame
//===----------------------------------------------------------------------===//

namespace {

/// Where the rows of a tile go: the matrices of a pack are columns of one
/// output row, each as its parts, one after the other ([real halves | imaginary
/// halves] of phases). And which row of scales is theirs.
struct TileOutput {
  Values parts; ///< column of the first row
  Value validRows, scaleRow;
};

TileOutput tileOutput(Emitter &e, const SignPlanePack &pack, Value tile) {
  TileOutput result;
  const int64_t tilesPerScale =
      pack.isTiled() ? kScaleTile / SignPlaneLayout::kTileRows : 1;
  int64_t firstTile = 0, column = 0, firstScale = 0;
  for (size_t i = 0; i < pack.rows.size(); ++i) {
    const int64_t n = pack.rows[i];
    Value local = e.sub(tile, e.index(firstTile));
    Value row = e.mul(local, SignPlaneLayout::kTileRows);
    TileOutput mine{{},
                    e.sub(e.index(n), row),
                    e.add(e.div(local, tilesPerScale), firstScale)};
    for (int64_t part = 0; part < pack.parts(); ++part)
      mine.parts.push_back(e.add(row, column + part * n));
    if (i == 0) {
      result = mine;
    } else {
      Value here = arith::CmpIOp::create(e, arith::CmpIPredicate::uge, tile,
                                         e.index(firstTile));
      auto choose = [&](Value yes, Value &no) {
        no = arith::SelectOp::create(e, here, yes, no);
      };
      for (auto [yes, no] : llvm::zip(mine.parts, result.parts))
        choose(yes, no);
      choose(mine.validRows, result.validRows);
      choose(mine.scaleRow, result.scaleRow);
    }
    firstScale += pack.scaleRows(i);
    firstTile += pack.matrix(i).tiles();
    column += pack.parts() * n;
  }
  return result;
}

} // namespace

void storeRows(Emitter &e, Value rows, Value memref, Value at, Value validRows,
               bool allWhole) {
  if (allWhole)
    return e.storeVector(rows, memref, at);
  Value whole = arith::CmpIOp::create(e, arith::CmpIPredicate::sge, validRows,
                                      e.index(kLanes));
  auto branch = scf::IfOp::create(e, whole, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e);
  e.setInsertionPointToStart(branch.thenBlock());
  e.storeVector(rows, memref, at);
  e.setInsertionPointToStart(branch.elseBlock());
  for (int64_t r = 0; r + 1 < kLanes; ++r) {
    Value valid = arith::CmpIOp::create(e, arith::CmpIPredicate::sgt, validRows,
                                        e.index(r));
    auto store = scf::IfOp::create(e, valid, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard inner(e);
    e.setInsertionPointToStart(store.thenBlock());
    e.store(vector::ExtractOp::create(e, rows, r), memref, e.add(at, r));
  }
}

void lowerPhaseLinear(PackedLinearOp op, PackOp pack, LoopContext &context) {
  const SignPlanePack layout = signPlanePackOf(pack);
  const Buffer &in = context.buffer(op.getInput());
  // All results are columns of the first one's buffer.
  const Buffer &out = context.buffer(op.getResult(0));
  const bool isInt8 = bool(op.getScales());
  const bool usesTables = isInt8 && context.target.form != LookupForm::Scalar;
  if (usesTables)
    callBuildTables(op, layout, context);

  std::string form =
      !isInt8 ? "float"
      : context.target.form == LookupForm::Scalar
          ? "scalar"
          : llvm::formatv("{0}{1}",
                          context.target.form == LookupForm::Quad ? "quad"
                                                                  : "lane",
                          context.target.lookupBytes)
                .str();
  pack->setAttr("kernel", StringAttr::get(op.getContext(),
                                          (layout.isReal ? "real-sign-plane-"
                                                         : "sign-plane-") +
                                              form));

  Type i8 = IntegerType::get(op.getContext(), 8),
       f32 = Float32Type::get(op.getContext());
  const int64_t tiles = layout.tiles(), sets = layout.sets();
  const int64_t tileBytes = layout.matrix(0).tileBytes();
  SmallVector<Value> kernelArguments = {
      context.weights(pack, layout.planeOffset(), i8, tiles * tileBytes),
      context.weights(pack, layout.scaleOffset(), f32, layout.scaleCount()),
      context.view(op.getResult(0)), context.tokenCount(op.getInput())};
  enum { Planes, Scales, Out, Tokens, Rest };
  if (usesTables)
    for (unsigned i = 0; i < 5; ++i)
      kernelArguments.push_back(context.view(context.scratch(op, i)));
  else
    kernelArguments.push_back(context.view(op.getInput()));
  if (isInt8)
    kernelArguments.push_back(context.view(op.getScales()));
  // A float per real row: [tile][part][16].
  auto addRowValues = [&](int64_t offset) {
    kernelArguments.push_back(
        context.weights(pack, offset, f32, layout.rowValues()));
    return kernelArguments.size() - 1;
  };
  const size_t factors =
      layout.hasFactors() ? addRowValues(layout.factorOffset()) : 0;
  const size_t biases = layout.hasBias ? addRowValues(layout.biasOffset()) : 0;

  const bool allWhole = llvm::all_of(layout.rows, [](int64_t n) {
    return n % SignPlaneLayout::kTileRows == 0;
  });
  std::string name = llvm::formatv("{0}_linear_{1}_{2}_{3}_{4}",
                                   layout.isReal ? "sign" : "phase", form,
                                   layout.columns, sets, out.stride);
  for (int64_t n : layout.rows)
    name += "_" + std::to_string(n);
  if (!usesTables)
    name += "_" + std::to_string(in.stride);
  if (layout.scales != ScaleGranularity::Tensor)
    name += std::string("_") + nameOf(layout.scales);
  if (layout.hasBias)
    name += "_bias";
  context.call(
      op.getLoc(), name, kernelArguments, [&](Emitter &e, ValueRange a) {
        PhaseInput input{layout,
                         context.target,
                         in.stride,
                         a[Planes],
                         a.slice(Rest, usesTables ? 5 : 1),
                         a[Scales],
                         Value(),
                         Value()};
        const size_t tokenScales = Rest + input.arguments.size();
        const SmallVector<int64_t> groups = tokenGroups(input, isInt8);
        SmallVector<Value> scratch;
        for (int64_t group : groups)
          scratch.push_back(sumScratch(e, input, group));
        e.forall(e.index(tiles), [&](Value tile) {
          input.tile = e.mul(tile, tileBytes);
          const TileOutput output = tileOutput(e, layout, tile);
          input.tileScales = e.mul(output.scaleRow, layout.scalesPerRow());
          // The tile's share of such values.
          auto rowValues = [&](size_t argument, int64_t part) {
            Value at = e.mul(tile, layout.tileRowValues());
            return e.loadVector(a[argument], e.add(at, part * kLanes), kLanes);
          };
          auto finish = [&](Value token, TermOfSet termOf) {
            Values y(layout.parts(), e.constant(e.floats(), 0.0));
            for (int64_t s = 0; s < sets; ++s)
              for (auto [sum, term] : llvm::zip(y, termOf(s)))
                sum = e.add(sum, term);
            Value row = e.mul(token, out.stride);
            Value scale =
                isInt8 ? e.splat(e.load(a[tokenScales], token)) : Value();
            for (auto [part, value] : llvm::enumerate(y)) {
              if (isInt8)
                value = e.mul(value, scale);
              if (layout.hasFactors())
                value = e.mul(value, rowValues(factors, part));
              if (layout.hasBias)
                value = e.add(value, rowValues(biases, part));
              storeRows(e, value, a[Out], e.add(row, output.parts[part]),
                        output.validRows, allWhole);
            }
          };
          // As many tokens as possible in large groups, the rest in smaller
          // ones.
          Value begin = e.index(0);
          for (auto [group, memory] : llvm::zip(groups, scratch)) {
            Value count = e.mul(e.div(e.sub(a[Tokens], begin), group), group);
            Value end = e.add(begin, count);
            e.forLoop(begin, end, group, {},
                      [&](Value token, ValueRange) -> SmallVector<Value> {
                        forEachToken(e, input, token, group, memory, finish);
                        return {};
                      });
            begin = end;
          }
        });
      });
}

} // namespace fairy2
