// SPDX-License-Identifier: Apache-2.0
//
// Linear layers on sign planes: the frame that all forms share.
//
// Phases, y = U x + W conj(x):
// For the code i^k = a + i b of a row and the int8 input x, the four sums
//   ar = sum a x_re   ai = sum a x_im   br = sum b x_re   bi = sum b x_im
// per set are exact integers; what differs between CPUs is only how they are
// found (PhaseLookup.cpp, and code by code for the oracle). The epilogue, in
// one fixed order of float32 operations, is the same for all; on the int8 grid
// it adds integers and converts them once. Real signs, y = S x, have one sum
// per plane and one real row where phases have two.
#include "dialect/Fairy2PackedOps.h"
#include "passes/cpu/loops/LookupTables.h"
#include "passes/cpu/loops/LoopContext.h"
#include "passes/cpu/loops/PackedLinear.h"
#include "passes/cpu/loops/PhaseProducts.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace fairy2 {
namespace {

/// Whether look-ups find the sums: they are of int8 values.
bool usesTables(PackedLinearOp op, const CpuTarget &target) {
  return op.getScales() && target.form != LookupForm::Scalar;
}

/// How sums are found, for readers.
std::string formOf(PackedLinearOp op, const CpuTarget &target) {
  if (!op.getScales())
    return "float";
  switch (target.form) {
  case LookupForm::Scalar:
    return "scalar";
  case LookupForm::Quad:
    return "quad" + std::to_string(target.lookupBytes);
  case LookupForm::Lane:
    return "lane" + std::to_string(target.lookupBytes);
  }
  llvm_unreachable("all forms are handled");
}

/// The arguments of the kernel, in the order of the call.
struct PhaseArguments {
  PhaseArguments(Kernel &kernel, PackedLinearOp op, PackOp pack,
                 const SignPlanePack &layout, bool hasProducts);

  /// What a tile's sums are found from; the tile itself is set for each.
  PhaseInput input(const SignPlanePack &layout, const CpuTarget &target) const;

  Argument planes;
  Argument scales, units;    ///< where the pack has them
  Argument aheadL1, aheadL2; ///< bytes that the stream is fetched ahead
  Rows out; ///< all results are columns of the first one's buffer
  Argument count;
  std::optional<TableArguments> tables;
  std::optional<ProductArguments> products; ///< beside the tables
  Rows x;                                   ///< where there are no tables
  Argument tokenScales;
  Argument factors, biases; ///< a float per real row: [tile][part][16]
};

PhaseArguments::PhaseArguments(Kernel &kernel, PackedLinearOp op, PackOp pack,
                               const SignPlanePack &layout, bool hasProducts) {
  Type i8 = IntegerType::get(op.getContext(), 8),
       i32 = IntegerType::get(op.getContext(), 32),
       f32 = Float32Type::get(op.getContext());
  const int64_t tileBytes = layout.matrix(0).tileBytes();
  planes = kernel.weights(pack, layout.planeOffset(), i8,
                          layout.tiles() * tileBytes);
  if (layout.hasScales())
    scales = kernel.weights(pack, layout.scaleOffset(),
                            layout.isOnGrid() ? i32 : f32, layout.scaleCount());
  if (layout.hasUnits())
    units = kernel.weights(pack, layout.unitOffset(), f32, layout.unitCount());
  out = kernel.rows(op.getResult(0));
  count = kernel.tokens(op.getInput());
  if (usesTables(op, kernel.target())) {
    tables.emplace(kernel, op);
    if (hasProducts)
      products.emplace(kernel, op, kTableBuffers);
    aheadL1 = kernel.prefetchL1();
    aheadL2 = kernel.prefetchL2();
  } else {
    x = kernel.rows(op.getInput());
  }
  if (op.getScales())
    tokenScales = kernel.rows(op.getScales());
  if (layout.hasFactors())
    factors =
        kernel.weights(pack, layout.factorOffset(), f32, layout.rowValues());
  if (layout.hasBias)
    biases = kernel.weights(pack, layout.biasOffset(), f32, layout.rowValues());
}

PhaseInput PhaseArguments::input(const SignPlanePack &layout,
                                 const CpuTarget &target) const {
  return {layout,  target,   planes,
          scales,  units,    tables ? tables->values() : Tables(),
          x,       x.stride, aheadL1,
          aheadL2, Value(),  Value(),
          Value()};
}

/// Where the rows of a tile go: the matrices of a pack are columns of one
/// output row, each as its parts, one after the other ([real halves | imaginary
/// halves] of phases). And which row of scales is theirs.
struct TileOutput {
  Values parts;              ///< column of the first row
  Value validRows, scaleRow; ///< units have the rows of scales
};

/// A tile's number decides which matrix it belongs to: the last one that begins
/// at or before it.
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

/// The token's scale, times the matrix's unit where tiles have none of their
/// own; null where there is neither.
Value tokenFactor(Emitter &e, const PhaseArguments &arguments,
                  const PhaseInput &input, Value token) {
  Value factor;
  if (arguments.tokenScales)
    factor = e.load(arguments.tokenScales, token);
  if (arguments.units && !input.pack.isTiled()) {
    Value unit = e.load(arguments.units, input.tileUnits);
    factor = factor ? e.mul(factor, unit) : unit;
  }
  return factor ? e.splat(factor) : Value();
}

/// y times the token's factor and the rows' factors, plus their biases.
void storeTile(Emitter &e, const PhaseInput &input,
               const PhaseArguments &arguments, Value tile,
               const TileOutput &output, Value token, ValueRange y) {
  const SignPlanePack &layout = input.pack;
  const bool allWhole = llvm::all_of(layout.rows, [](int64_t n) {
    return n % SignPlaneLayout::kTileRows == 0;
  });
  Value row = arguments.out.row(e, token);
  Value scale = tokenFactor(e, arguments, input, token);
  for (auto [part, value] : llvm::enumerate(y)) {
    auto rowValues = [&](Value values) {
      Value at = e.mul(tile, layout.tileRowValues());
      return e.loadVector(values, e.add(at, int64_t(part) * kLanes), kLanes);
    };
    if (scale)
      value = e.mul(value, scale);
    if (arguments.factors)
      value = e.mul(value, rowValues(arguments.factors));
    if (arguments.biases)
      value = e.add(value, rowValues(arguments.biases));
    e.storeRows(value, arguments.out, e.add(row, output.parts[part]),
                output.validRows, allWhole);
  }
}

using StoreToken = function_ref<void(Value token, Values y)>;

/// As many tokens as possible in large groups, the rest in smaller ones:
/// body(first token, size of the group, its scratch).
void forTokenGroups(
    Emitter &e, Value count, ArrayRef<int64_t> groups, ValueRange scratch,
    function_ref<void(Value first, int64_t tokens, Value scratch)> body) {
  Value begin = e.index(0);
  for (auto [group, memory] : llvm::zip(groups, scratch)) {
    Value grouped = e.mul(e.div(e.sub(count, begin), group), group);
    Value end = e.add(begin, grouped);
    e.forLoop(begin, end, group, {},
              [&](Value token, ValueRange) -> SmallVector<Value> {
                body(token, group, memory);
                return {};
              });
    begin = end;
  }
}

} // namespace

SmallVector<Buffer> phaseLinearScratch(PackedLinearOp op, PackOp pack,
                                       const CpuTarget &target, int64_t batch) {
  if (!usesTables(op, target))
    return {};
  const SignPlanePack layout = signPlanePackOf(pack);
  SmallVector<Buffer> buffers = tableScratch(op.getContext(), layout, batch);
  if (hasProducts(op, layout, target, batch))
    llvm::append_range(buffers, productScratch(op.getContext(), layout, batch));
  return buffers;
}

/// parallel for tile of 16 rows of codes:
///   for token, in groups of 4, 2 and 1 where the form can:
///     y = sum over the sets of scales * exact sums  (PhaseLookup.cpp)
///     out[token] = y * scale of the token * factors of rows + biases
/// or for many tokens on the int8 grid, if so many come: y by products
/// (PhaseProducts.cpp)
void lowerPhaseLinear(PackedLinearOp op, PackOp pack, LoopContext &context) {
  const SignPlanePack layout = signPlanePackOf(pack);
  const CpuTarget &target = targetOf(context);
  const bool products = hasProducts(op, layout, target, context.batch);
  if (usesTables(op, target))
    callPrepareTokens(op, layout, products, context);
  if (products)
    context.declareProducts();

  const std::string form = formOf(op, target);
  nameKernelOf(pack, (layout.isReal ? "real-sign-plane-" : "sign-plane-") +
                         form + (products ? "+products" : ""));
  Kernel kernel(
      context, op,
      llvm::formatv("{0}_linear_{1}_{2}x{3}", layout.isReal ? "sign" : "phase",
                    form,
                    llvm::join(llvm::map_range(
                                   layout.rows,
                                   [](int64_t n) { return std::to_string(n); }),
                               "_"),
                    layout.columns));
  const PhaseArguments arguments(kernel, op, pack, layout, products);
  kernel.emit([&](Emitter &e) {
    PhaseInput input = arguments.input(layout, target);
    const SmallVector<int64_t> groups = tokenGroups(input);
    Values scratch;
    for (int64_t group : groups)
      scratch.push_back(sumScratch(e, input, group));
    std::optional<ProductScratch> ofProducts;
    if (products)
      ofProducts.emplace(e, layout, context.batch);
    // body(how a token's y is stored), for every tile.
    auto forTiles = [&](function_ref<void(StoreToken)> body) {
      e.forall(e.index(layout.tiles()), [&](Value tile) {
        input.tile = e.mul(tile, layout.matrix(0).tileBytes());
        const TileOutput output = tileOutput(e, layout, tile);
        input.tileScales = e.mul(output.scaleRow, layout.scalesPerRow());
        input.tileUnits = e.mul(output.scaleRow, layout.unitsPerRow());
        body([&](Value token, Values y) {
          storeTile(e, input, arguments, tile, output, token, y);
        });
      });
    };
    auto lookUp = [&] {
      forTiles([&](StoreToken store) {
        forTokenGroups(e, arguments.count, groups, scratch,
                       [&](Value first, int64_t tokens, Value memory) {
                         forEachToken(e, input, first, tokens, memory, store);
                       });
      });
    };
    if (!products)
      return lookUp();
    // Loops of their own: what one form keeps in registers is not the other's.
    e.branch(
        multiplies(e, *arguments.products, arguments.count),
        [&] {
          forTiles([&](StoreToken store) {
            forEachTokenByProducts(e, input, *arguments.products, *ofProducts,
                                   arguments.count, store);
          });
        },
        lookUp);
  });
}

} // namespace fairy2
