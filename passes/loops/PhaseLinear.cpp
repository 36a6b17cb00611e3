// SPDX-License-Identifier: Apache-2.0
//
// y = U x + W conj(x) on sign planes: the frame that all forms share.
//
// For the code i^k = a + i b of a row and the int8 input x, the four sums
//   ar = sum a x_re   ai = sum a x_im   br = sum b x_re   bi = sum b x_im
// per set are exact integers; what differs between CPUs is only how they are
// found (PhaseLookup.cpp, and code by code for the oracle). The epilogue, in
// one fixed order of float32 operations, is the same for all.
#include "passes/loops/PhaseLinear.h"

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
/// output row, each as [real halves | imaginary halves]. And which row of scales
/// is theirs.
struct TileOutput {
  Value real, imaginary, validRows, scaleRow;
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
    TileOutput mine{e.add(row, column), e.add(row, column + n),
                    e.sub(e.index(n), row),
                    e.add(e.div(local, tilesPerScale), firstScale)};
    if (i == 0) {
      result = mine;
    } else {
      Value here = arith::CmpIOp::create(e, arith::CmpIPredicate::uge, tile,
                                         e.index(firstTile));
      auto choose = [&](Value yes, Value no) -> Value {
        return arith::SelectOp::create(e, here, yes, no);
      };
      result = {choose(mine.real, result.real),
                choose(mine.imaginary, result.imaginary),
                choose(mine.validRows, result.validRows),
                choose(mine.scaleRow, result.scaleRow)};
    }
    firstScale += pack.scaleRows(i);
    firstTile += pack.matrix(i).tiles();
    column += 2 * n;
  }
  return result;
}

} // namespace

void storeRows(Emitter &e, Value rows, Value memref, Value at,
               Value validRows, bool allWhole) {
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

  std::string form = !isInt8 ? "float"
                     : context.target.form == LookupForm::Scalar
                         ? "scalar"
                         : llvm::formatv("{0}{1}",
                                         context.target.form == LookupForm::Quad
                                             ? "quad"
                                             : "lane",
                                         context.target.lookupBytes)
                               .str();
  pack->setAttr("kernel",
                StringAttr::get(op.getContext(), "sign-plane-" + form));

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
  // A float per real row: [tile][re, im][16].
  auto addRowValues = [&](int64_t offset) {
    kernelArguments.push_back(context.weights(
        pack, offset, f32, tiles * 2 * SignPlaneLayout::kTileRows));
    return kernelArguments.size() - 1;
  };
  const size_t factors =
      layout.hasFactors() ? addRowValues(layout.factorOffset()) : 0;
  const size_t biases = layout.hasBias ? addRowValues(layout.biasOffset()) : 0;

  const bool allWhole = llvm::all_of(layout.rows, [](int64_t n) {
    return n % SignPlaneLayout::kTileRows == 0;
  });
  std::string name = llvm::formatv("phase_linear_{0}_{1}_{2}_{3}", form,
                                   layout.columns, sets, out.stride);
  for (int64_t n : layout.rows)
    name += "_" + std::to_string(n);
  if (!usesTables)
    name += "_" + std::to_string(in.stride);
  if (layout.scheme.scales != ScaleGranularity::Tensor)
    name += std::string("_") + nameOf(layout.scheme.scales);
  if (layout.hasBias)
    name += "_bias";
  context.call(op.getLoc(), name, kernelArguments, [&](Emitter &e,
                                                       ValueRange a) {
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
      input.tileScales =
          e.mul(output.scaleRow, layout.spans() * 2 * layout.sets());
      // The tile's part of such values: real halves, then imaginary ones.
      auto rowValues = [&](size_t argument, int64_t half) {
        Value at = e.mul(tile, 2 * SignPlaneLayout::kTileRows);
        return e.loadVector(a[argument], e.add(at, half * kLanes), kLanes);
      };
      auto finish = [&](Value token, TermOfSet termOf) {
        Value real = e.constant(e.floats(), 0.0), imaginary = real;
        for (int64_t s = 0; s < sets; ++s) {
          const SetTerm term = termOf(s);
          real = e.add(real, term.real);
          imaginary = e.add(imaginary, term.imaginary);
        }
        if (isInt8) {
          Value scale = e.splat(e.load(a[tokenScales], token));
          real = e.mul(real, scale);
          imaginary = e.mul(imaginary, scale);
        }
        if (layout.hasFactors()) {
          real = e.mul(real, rowValues(factors, 0));
          imaginary = e.mul(imaginary, rowValues(factors, 1));
        }
        if (layout.hasBias) {
          real = e.add(real, rowValues(biases, 0));
          imaginary = e.add(imaginary, rowValues(biases, 1));
        }
        Value row = e.mul(token, out.stride);
        storeRows(e, real, a[Out], e.add(row, output.real), output.validRows,
                  allWhole);
        storeRows(e, imaginary, a[Out], e.add(row, output.imaginary),
                  output.validRows, allWhole);
      };
      // As many tokens as possible in large groups, the rest in smaller ones.
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
