// SPDX-License-Identifier: Apache-2.0
//
// Verifiers of the packed stage, and the layout of its packs.
#include "dialect/Fairy2PackedOps.h"

#include "dialect/Fairy2QuantizedOps.h"
#include "dialect/WeightVerifiers.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "dialect/Fairy2PackedOps.cpp.inc"

namespace fairy2 {

WeightOp weightBehind(Operation *source) {
  FlatSymbolRefAttr symbol;
  if (auto phases = dyn_cast<PhaseQuantizeOp>(source))
    symbol = phases.getWeightAttr();
  else if (auto signs = dyn_cast<SignQuantizeOp>(source))
    symbol = signs.getWeightAttr();
  else
    return cast<WeightOp>(source);
  return cast<WeightOp>(SymbolTable::lookupNearestSymbolFrom(source, symbol));
}

SignPlanePack signPlanePackOf(ArrayRef<Operation *> recipes, bool hasBias) {
  SmallVector<int64_t> rows;
  for (Operation *recipe : recipes)
    rows.push_back(weightBehind(recipe).getTensorType().getDimSize(0));
  const int64_t columns =
      weightBehind(recipes.front()).getTensorType().getDimSize(1);
  if (auto signs = dyn_cast<SignQuantizeOp>(recipes.front()))
    return SignPlanePack::ofSigns({rows.begin(), rows.end()}, columns / 2,
                                  signSchemeOf(signs.getScheme()), hasBias);
  for (int64_t &count : rows)
    count /= 2;
  return SignPlanePack::ofPhases(
      {rows.begin(), rows.end()}, columns / 2,
      phaseSchemeOf(cast<PhaseQuantizeOp>(recipes.front()).getScheme()),
      hasBias);
}

SignPlanePack signPlanePackOf(PackOp pack) {
  return signPlanePackOf(
      llvm::map_to_vector(pack.getSources().getAsRange<FlatSymbolRefAttr>(),
                          [&](FlatSymbolRefAttr source) {
                            return SymbolTable::lookupNearestSymbolFrom(pack,
                                                                        source);
                          }),
      bool(pack.getBiases()));
}

/// The layout of sources that are recipes of equal width and scheme; their
/// features are appended.
template <typename RecipeOp>
static FailureOr<SignPlanePack>
verifyPlaneSources(PackOp pack, StringRef what, SymbolTableCollection &symbols,
                   SmallVectorImpl<int64_t> &features) {
  SmallVector<Operation *> recipes;
  RankedTensorType first;
  for (Attribute source : pack.getSources()) {
    auto recipe =
        lookUp<RecipeOp>(pack, cast<FlatSymbolRefAttr>(source), symbols, what);
    if (!recipe)
      return failure();
    RankedTensorType type = weightType(recipe, recipe.getWeightAttr(), symbols);
    if (!type)
      return failure();
    if (!first)
      first = type;
    recipes.push_back(recipe);
    if (first.getDimSize(1) != type.getDimSize(1) ||
        cast<RecipeOp>(recipes.front()).getScheme() != recipe.getScheme())
      return pack.emitOpError("expected sources of equal width and scheme");
    features.push_back(type.getDimSize(0));
  }
  return signPlanePackOf(recipes, bool(pack.getBiases()));
}

/// The same for a pack of either kind of planes.
static FailureOr<SignPlanePack>
verifyPlaneSources(PackOp pack, SymbolTableCollection &symbols,
                   SmallVectorImpl<int64_t> &features) {
  if (pack.getKind() == PackingKind::RealSignPlanes)
    return verifyPlaneSources<SignQuantizeOp>(pack, "a fairy2.sign_quantize",
                                              symbols, features);
  return verifyPlaneSources<PhaseQuantizeOp>(pack, "a fairy2.phase_quantize",
                                             symbols, features);
}

LogicalResult PackOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (getSources().empty())
    return emitOpError("expected at least one source");
  if (getOffset() % kPackAlignment)
    return emitOpError("expected an offset that is a multiple of ")
           << kPackAlignment << ", found " << getOffset();
  if (!holdsPlanes() && getSources().size() != 1)
    return emitOpError("expected one source, found ") << getSources().size();
  int64_t expected = 0;
  SmallVector<int64_t> features;
  if (holdsPlanes()) {
    FailureOr<SignPlanePack> layout =
        verifyPlaneSources(*this, symbols, features);
    if (failed(layout))
      return failure();
    expected = layout->bytes();
  } else {
    auto weight =
        lookUp<WeightOp>(*this, cast<FlatSymbolRefAttr>(getSources()[0]),
                         symbols, "a fairy2.weight");
    if (!weight)
      return failure();
    RankedTensorType type = weight.getTensorType();
    const int64_t columns = type.getShape().back();
    const int64_t rows = type.getNumElements() / columns;
    features.push_back(rows);
    if (getKind() == PackingKind::Int8)
      expected = Int8Pack{rows, columns}.bytes();
    else if (getKind() == PackingKind::Int4)
      expected = Int4Pack{rows, columns}.bytes();
    else
      expected = DensePack{rows, columns, type.getElementTypeBitWidth() / 8,
                           bool(getBiases())}
                     .bytes();
  }
  if (int64_t(getBytes()) != expected)
    return emitOpError("expected ")
           << expected << " bytes for this layout, found " << getBytes();
  if (getBiases() && holdsIntegers())
    return emitOpError("expected no bias beside ")
           << stringifyPackingKind(getKind()) << " weights";
  return verifyBiases(*this, getBiases(), features, symbols);
}

LogicalResult PackedLinearOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto pack = lookUp<PackOp>(*this, getPackAttr(), symbols, "a fairy2.pack");
  if (!pack)
    return failure();
  if (pack.getKind() == PackingKind::Int4)
    return emitOpError("expected no pack of int4, which embeddings alone read");
  if (pack.getSources().size() != getNumResults())
    return emitOpError("expected one result per source of the pack, ")
           << pack.getSources().size() << ", found " << getNumResults();
  if (failed(verifyScales(*this)))
    return failure();
  const bool isInt8 = bool(getScales());
  if (isInt8 ? pack.getKind() == PackingKind::Dense
             : pack.getKind() == PackingKind::Int8)
    return emitOpError("expected ")
           << (isInt8 ? "float" : "int8") << " input, as packing "
           << stringifyPackingKind(pack.getKind()) << " asks for";
  for (auto [source, result] : llvm::zip(pack.getSources(), getResults())) {
    auto symbol = cast<FlatSymbolRefAttr>(source);
    Operation *recipe = symbols.lookupNearestSymbolFrom(*this, symbol);
    // Whether the scheme asks for this input.
    auto accepts = [&](auto op) -> LogicalResult {
      symbol = op.getWeightAttr();
      if ((op.getScheme().getActivations() == ActivationKind::Int8) == isInt8)
        return success();
      return emitOpError("expected the input that ")
             << op.getScheme() << " asks for";
    };
    if (failed(llvm::TypeSwitch<Operation *, LogicalResult>(recipe)
                   .Case<PhaseQuantizeOp, SignQuantizeOp>(accepts)
                   .Default(success())))
      return failure();
    if (failed(verifyShape(*this, weightType(*this, symbol, symbols),
                           {featuresOf(result), featuresOf(getInput())})))
      return failure();
  }
  return success();
}

} // namespace fairy2
