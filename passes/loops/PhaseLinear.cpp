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

SignPlanePack signPlanePackOf(PackOp pack, LoopContext &context) {
  SignPlanePack layout;
  layout.hasBias = bool(pack.getBiases());
  for (unsigned i = 0; i < pack.getSources().size(); ++i) {
    RankedTensorType type = context.weightType(pack, i);
    layout.rows.push_back(type.getDimSize(0) / 2);
    layout.columns = type.getDimSize(1) / 2;
  }
  auto phases = cast<PhaseQuantizeOp>(SymbolTable::lookupNearestSymbolFrom(
      pack, cast<FlatSymbolRefAttr>(pack.getSources()[0])));
  layout.sets = 2 * int(phases.getScheme().getStages());
  return layout;
}

SmallVector<Buffer> phaseLinearScratch(PackedLinearOp op, PackOp pack,
                                       LoopContext &context) {
  if (!op.getScales() || context.target.form == LookupForm::Scalar)
    return {};
  Type i8 = IntegerType::get(op.getContext(), 8),
       i32 = IntegerType::get(op.getContext(), 32);
  const int64_t blocks = signPlanePackOf(pack, context).matrix(0).blocks();
  const int64_t tableBytes = blocks * kTableBytes;
  return {Buffer{0, context.batch, tableBytes, 0, i8},
          Buffer{0, context.batch, tableBytes, 0, i8},
          Buffer{0, context.batch, 2, 0, i32},
          Buffer{0, context.batch, 1, 0, i32},
          Buffer{0, context.batch, blocks, 0, i32}};
}

//===----------------------------------------------------------------------===//
// The frame
//===----------------------------------------------------------------------===//

namespace {

/// Where the rows of a tile go: the matrices of a pack are columns of one
/// output row, each as [real halves | imaginary halves].
struct TileOutput {
  Value real, imaginary, validRows;
};

TileOutput tileOutput(Emitter &e, const SignPlanePack &pack, Value tile) {
  TileOutput result;
  int64_t firstTile = 0, column = 0;
  for (size_t i = 0; i < pack.rows.size(); ++i) {
    const int64_t n = pack.rows[i];
    Value row = e.mul(e.sub(tile, e.index(firstTile)),
                      SignPlaneLayout::kTileRows);
    TileOutput mine{e.add(row, column), e.add(row, column + n),
                    e.sub(e.index(n), row)};
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
                choose(mine.validRows, result.validRows)};
    }
    firstTile += pack.matrix(i).tiles();
    column += 2 * n;
  }
  return result;
}

/// Adds one set's part of U x + W conj(x):
///   U: y_re += s_re ar - s_im bi, y_im += s_re ai + s_im br
///   W: y_re += s_re ar + s_im bi, y_im += s_im br - s_re ai
void accumulate(Emitter &e, bool conjugated, const AxisSums &sums, Value scaleRe,
                Value scaleIm, Value &real, Value &imaginary) {
  Value reAr = e.mul(scaleRe, sums.ar), imBi = e.mul(scaleIm, sums.bi);
  Value reAi = e.mul(scaleRe, sums.ai), imBr = e.mul(scaleIm, sums.br);
  real = e.add(real, conjugated ? e.add(reAr, imBi) : e.sub(reAr, imBi));
  imaginary =
      e.add(imaginary, conjugated ? e.sub(imBr, reAi) : e.add(reAi, imBr));
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
  const SignPlanePack layout = signPlanePackOf(pack, context);
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
  const int64_t tiles = layout.tiles(), sets = layout.sets;
  const int64_t tileBytes = layout.matrix(0).tileBytes();
  SmallVector<Value> kernelArguments = {
      context.weights(pack, layout.planeOffset(), i8, tiles * tileBytes),
      context.weights(pack, layout.scaleOffset(), f32, tiles * sets * 2),
      context.view(op.getResult(0)), context.tokenCount(op.getInput())};
  enum { Planes, Scales, Out, Tokens, Rest };
  if (usesTables)
    for (unsigned i = 0; i < 5; ++i)
      kernelArguments.push_back(context.view(context.scratch(op, i)));
  else
    kernelArguments.push_back(context.view(op.getInput()));
  if (isInt8)
    kernelArguments.push_back(context.view(op.getScales()));
  if (layout.hasBias)
    kernelArguments.push_back(context.weights(
        pack, layout.biasOffset(), f32, tiles * 2 * SignPlaneLayout::kTileRows));

  const bool allWhole = llvm::all_of(layout.rows, [](int64_t n) {
    return n % SignPlaneLayout::kTileRows == 0;
  });
  std::string name = llvm::formatv("phase_linear_{0}_{1}_{2}_{3}", form,
                                   layout.columns, sets, out.stride);
  for (int64_t n : layout.rows)
    name += "_" + std::to_string(n);
  if (!usesTables)
    name += "_" + std::to_string(in.stride);
  if (layout.hasBias)
    name += "_bias";
  context.call(op.getLoc(), name, kernelArguments, [&](Emitter &e,
                                                       ValueRange a) {
    PhaseInput input{layout,    context.target,
                     in.stride, a[Planes],
                     a.slice(Rest, usesTables ? 5 : 1), Value()};
    ValueRange rest = a.drop_front(Rest + input.arguments.size());
    const SmallVector<int64_t> groups = tokenGroups(input, isInt8);
    SmallVector<Value> scratch;
    for (int64_t group : groups)
      scratch.push_back(sumScratch(e, input, group));
    e.forall(e.index(tiles), [&](Value tile) {
      input.tile = e.mul(tile, tileBytes);
      const TileOutput output = tileOutput(e, layout, tile);
      Value tileScales = e.mul(tile, 2 * sets);
      auto finish = [&](Value token, SumsOfSet sumsOf) {
        Value real = e.constant(e.floats(), 0.0), imaginary = real;
        for (int64_t s = 0; s < sets; ++s) {
          auto scale = [&](int64_t axis) {
            return e.splat(
                e.load(a[Scales], e.add(tileScales, 2 * s + axis)));
          };
          accumulate(e, s % 2 == 1, sumsOf(s), scale(0), scale(1), real,
                     imaginary);
        }
        if (isInt8) {
          Value scale = e.splat(e.load(rest[0], token));
          real = e.mul(real, scale);
          imaginary = e.mul(imaginary, scale);
        }
        if (layout.hasBias) {
          Value bias = e.mul(tile, 2 * SignPlaneLayout::kTileRows);
          real = e.add(real, e.loadVector(rest.back(), bias, kLanes));
          imaginary = e.add(imaginary, e.loadVector(rest.back(),
                                                    e.add(bias, kLanes),
                                                    kLanes));
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
                    if (isInt8)
                      forEachToken(e, input, token, group, memory, finish);
                    else
                      finish(token, [&](int64_t set) {
                        return floatPhaseSums(e, input, token, set);
                      });
                    return {};
                  });
        begin = end;
      }
    });
  });
}

} // namespace fairy2
