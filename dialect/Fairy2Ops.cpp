// SPDX-License-Identifier: Apache-2.0
//
// Verifiers: the relations that ODS constraints cannot state.
#include "dialect/Fairy2LoopOps.h"
#include "dialect/Fairy2ModelOps.h"
#include "dialect/Fairy2PackedOps.h"
#include "dialect/Fairy2QuantizedOps.h"
#include "dialect/phase/Packing.h"

#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/OpImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "dialect/Fairy2ModelOps.cpp.inc"
#define GET_OP_CLASSES
#include "dialect/Fairy2QuantizedOps.cpp.inc"
#define GET_OP_CLASSES
#include "dialect/Fairy2PackedOps.cpp.inc"
#define GET_OP_CLASSES
#include "dialect/Fairy2LoopOps.cpp.inc"

namespace fairy2 {
namespace {

/// Looks the symbol up and checks its kind, with a note at what was found.
template <typename OpTy>
OpTy lookUp(Operation *op, FlatSymbolRefAttr symbol,
            SymbolTableCollection &symbols, StringRef what) {
  Operation *found = symbols.lookupNearestSymbolFrom(op, symbol);
  if (!found) {
    op->emitOpError("expected ")
        << what << " named " << symbol << ", found no such symbol";
    return nullptr;
  }
  if (auto typed = dyn_cast<OpTy>(found))
    return typed;
  InFlightDiagnostic diag = op->emitOpError("expected ")
                            << what << " named " << symbol << ", found a "
                            << found->getName();
  diag.attachNote(found->getLoc()) << "defined here";
  return nullptr;
}

/// The shape behind a symbol that is a checkpoint weight or, from the packed
/// stage on, a dense pack of one.
RankedTensorType weightType(Operation *op, FlatSymbolRefAttr symbol,
                            SymbolTableCollection &symbols) {
  Operation *found = symbols.lookupNearestSymbolFrom(op, symbol);
  if (auto pack = dyn_cast_or_null<PackOp>(found))
    if (pack.getKind() == PackingKind::Dense && pack.getSources().size() == 1)
      symbol = cast<FlatSymbolRefAttr>(pack.getSources()[0]);
  WeightOp weight =
      lookUp<WeightOp>(op, symbol, symbols, "a fairy2.weight or dense pack");
  return weight ? weight.getTensorType() : RankedTensorType();
}

LogicalResult verifyShape(Operation *op, RankedTensorType weight,
                          ArrayRef<int64_t> expected) {
  if (!weight)
    return failure();
  if (weight.getShape() == expected)
    return success();
  InFlightDiagnostic diag = op->emitOpError("expected a weight of shape [");
  llvm::interleaveComma(expected, diag);
  diag << "], found [";
  llvm::interleaveComma(weight.getShape(), diag);
  return diag << "]";
}

/// Scores are divided by a cap and multiplied again.
LogicalResult verifyCap(Operation *op, const APFloat &cap) {
  if (cap.isFinite() && !cap.isZero() && !cap.isNegative())
    return success();
  return op->emitOpError("expected a positive cap, found ")
         << cap.convertToFloat();
}

LogicalResult verifyBias(Operation *op, std::optional<FlatSymbolRefAttr> bias,
                         Value result, SymbolTableCollection &symbols) {
  if (!bias)
    return success();
  return verifyShape(op, weightType(op, *bias, symbols), {featuresOf(result)});
}

template <typename LinearOpTy>
LogicalResult verifyLinear(LinearOpTy op, SymbolTableCollection &symbols) {
  if (failed(
          verifyShape(op, weightType(op, op.getWeightAttr(), symbols),
                      {featuresOf(op.getResult()), featuresOf(op.getInput())})))
    return failure();
  if constexpr (requires { op.getBiasAttr(); })
    if (op.getBiasAttr())
      return verifyBias(op, op.getBiasAttr(), op.getResult(), symbols);
  return success();
}

/// One symbol of a weight of shape [features], or unit, per matrix.
LogicalResult verifyBiases(Operation *op, std::optional<ArrayAttr> biases,
                           ArrayRef<int64_t> features,
                           SymbolTableCollection &symbols) {
  if (!biases)
    return success();
  if (biases->size() != features.size())
    return op->emitOpError("expected one bias per matrix, ")
           << features.size() << ", found " << biases->size();
  for (auto [bias, size] : llvm::zip(*biases, features)) {
    if (isa<UnitAttr>(bias))
      continue;
    auto symbol = dyn_cast<FlatSymbolRefAttr>(bias);
    if (!symbol)
      return op->emitOpError("expected biases that are symbols or unit, found ")
             << bias;
    auto weight = lookUp<WeightOp>(op, symbol, symbols, "a fairy2.weight");
    if (!weight || failed(verifyShape(op, weight.getTensorType(), {size})))
      return failure();
  }
  return success();
}

/// Int8 input comes with a scale per token, float input without.
template <typename LinearOpTy> LogicalResult verifyScales(LinearOpTy op) {
  const bool isInt8 = op.getInput().getType().getElementType().isInteger(8);
  if (isInt8 == bool(op.getScales()))
    return success();
  return op.emitOpError("expected scales with int8 input and none with float");
}

} // namespace

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

LogicalResult WeightOp::verify() {
  const ArrayRef<int64_t> shape = getTensorType().getShape();
  if (shape.empty() || llvm::any_of(shape, [](int64_t d) { return d <= 0; }))
    return emitOpError("expected a static shape of positive extents, found ")
           << getType();
  int64_t elements = 1;
  for (int64_t extent : shape)
    if (llvm::MulOverflow(elements, extent, elements) ||
        elements > kMaxWeightElements)
      return emitOpError("expected at most ")
             << kMaxWeightElements << " elements, found " << getType();
  if (getFile().has_value() == getValue().has_value())
    return emitOpError("expected either a place in a file or a value");
  if (getValue() && getValue()->getType() != getType())
    return emitOpError("expected a value of type ")
           << getType() << ", found " << getValue()->getType();
  if (getPhases() && (!getFile() || shape.size() != 2 ||
                      !getTensorType().getElementType().isF32()))
    return emitOpError("expected phases for a float32 matrix in a file");
  if (getOffset() && int64_t(*getOffset()) < 0)
    return emitOpError("expected an offset of at least 0, found ")
           << int64_t(*getOffset());
  return success();
}

//===----------------------------------------------------------------------===//
// Model stage
//===----------------------------------------------------------------------===//

LogicalResult EmbeddingOp::verifySymbolUses(SymbolTableCollection &symbols) {
  RankedTensorType weight = weightType(*this, getWeightAttr(), symbols);
  if (!weight)
    return failure();
  if (weight.getRank() != 2 || weight.getDimSize(1) != featuresOf(getResult()))
    return emitOpError("expected a weight of shape [vocabulary, ")
           << featuresOf(getResult()) << "], found " << weight;
  return success();
}

LogicalResult RmsNormOp::verifySymbolUses(SymbolTableCollection &symbols) {
  const int64_t features = featuresOf(getInput()), heads = int64_t(getHeads());
  if (features % heads)
    return emitOpError("expected whole heads, found ")
           << features << " features and " << heads << " heads";
  return verifyShape(*this, weightType(*this, getWeightAttr(), symbols),
                     {features / heads});
}

LogicalResult LinearOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyLinear(*this, symbols);
}

LogicalResult RopeTableOp::verify() {
  const int64_t half = int64_t(getInverseFrequencies().size());
  if (half == 0 || featuresOf(getResult()) != 2 * half)
    return emitOpError("expected a result with two features per frequency, ")
           << 2 * half << ", found " << featuresOf(getResult());
  if (getLongFrequencies().has_value() != getLongAfter().has_value())
    return emitOpError("expected long_frequencies and long_after together");
  if (getLongFrequencies() && int64_t(getLongFrequencies()->size()) != half)
    return emitOpError("expected as many long frequencies as others, ")
           << half << ", found " << getLongFrequencies()->size();
  return success();
}

LogicalResult RopeOp::verify() {
  const int64_t features = featuresOf(getInput()), heads = int64_t(getHeads()),
                turned = featuresOf(getTable());
  if (features % heads || turned % 2 || turned > features / heads)
    return emitOpError("expected whole heads, at least as wide as the table, "
                       "which is even, found ")
           << features << " features, " << heads << " heads and a table of "
           << turned;
  return success();
}

LogicalResult AttentionOp::verify() {
  KVCacheType cache = getCache().getType();
  if (featuresOf(getKey()) != cache.getHeads() * cache.getDim())
    return emitOpError("expected keys of ")
           << cache.getHeads() << " x " << cache.getDim()
           << " features, as the cache has, found " << featuresOf(getKey());
  if (featuresOf(getQuery()) % featuresOf(getKey()))
    return emitOpError("expected query heads in groups that share a key head, "
                       "found ")
           << featuresOf(getQuery()) << " query and " << featuresOf(getKey())
           << " key features";
  if (int64_t(getLayer()) >= cache.getLayers())
    return emitOpError("expected a layer below ")
           << cache.getLayers() << ", found " << getLayer();
  if (getSoftCap())
    return verifyCap(*this, *getSoftCap());
  return success();
}

LogicalResult SoftCapOp::verify() { return verifyCap(*this, getCap()); }

LogicalResult SliceOp::verify() {
  const int64_t from = int64_t(getBegin()), count = featuresOf(getResult());
  if (count > featuresOf(getInput()) || from > featuresOf(getInput()) - count)
    return emitOpError("expected a range within ")
           << featuresOf(getInput()) << " features, found " << count << " from "
           << from;
  return success();
}

//===----------------------------------------------------------------------===//
// Quantized stage
//===----------------------------------------------------------------------===//

LogicalResult
PhaseQuantizeOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight =
      lookUp<WeightOp>(*this, getWeightAttr(), symbols, "a fairy2.weight");
  if (!weight)
    return failure();
  RankedTensorType type = weight.getTensorType();
  if (type.getRank() != 2 || type.getDimSize(0) % 2 || type.getDimSize(1) % 2) {
    InFlightDiagnostic diag =
        emitOpError("expected a matrix of even extents, found ") << type;
    diag.attachNote(weight.getLoc()) << "weight defined here";
    return diag;
  }
  const SchemeAttr scheme = getScheme();
  if (StoredPhasesAttr stored = weight.getPhasesAttr();
      stored && (stored.getStages() != scheme.getStages() ||
                 stored.getScales() != scheme.getScales()))
    return emitOpError("expected the scheme of the stored phases, ")
           << stored << ", found " << scheme;
  return success();
}

LogicalResult SignQuantizeOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight =
      lookUp<WeightOp>(*this, getWeightAttr(), symbols, "a fairy2.weight");
  if (!weight)
    return failure();
  RankedTensorType type = weight.getTensorType();
  if (type.getRank() != 2 || type.getDimSize(1) % 2) {
    InFlightDiagnostic diag = emitOpError("expected a matrix of an even number "
                                          "of columns, found ")
                              << type;
    diag.attachNote(weight.getLoc()) << "weight defined here";
    return diag;
  }
  return success();
}

LogicalResult WidelyLinearOp::verify() {
  if (featuresOf(getInput()) % 2 || featuresOf(getResult()) % 2)
    return emitOpError("expected even numbers of features to pair as complex "
                       "numbers, found ")
           << featuresOf(getInput()) << " and " << featuresOf(getResult());
  return success();
}

LogicalResult WidelyLinearOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyLinear(*this, symbols);
}

LogicalResult QuantizeActivationsOp::verify() {
  if (featuresOf(getInput()) != featuresOf(getValues()))
    return emitOpError("expected as many values as inputs, ")
           << featuresOf(getInput()) << ", found " << featuresOf(getValues());
  return success();
}

/// One result per recipe.
template <typename LinearOpTy>
static LogicalResult verifyRecipeLinear(LinearOpTy op) {
  if (op.getRecipes().empty() || op.getRecipes().size() != op.getNumResults())
    return op.emitOpError("expected one result per matrix, found ")
           << op.getNumResults() << " results and " << op.getRecipes().size()
           << " matrices";
  return verifyScales(op);
}

/// Recipes of one scheme, of weights of the results' shapes.
template <typename RecipeOp, typename LinearOpTy>
static LogicalResult verifyRecipes(LinearOpTy op, StringRef what,
                                   SymbolTableCollection &symbols) {
  decltype(std::declval<RecipeOp>().getScheme()) scheme;
  for (auto [symbol, result] : llvm::zip(op.getRecipes(), op.getResults())) {
    auto recipe =
        lookUp<RecipeOp>(op, cast<FlatSymbolRefAttr>(symbol), symbols, what);
    if (!recipe || failed(verifyShape(
                       op, weightType(recipe, recipe.getWeightAttr(), symbols),
                       {featuresOf(result), featuresOf(op.getInput())})))
      return failure();
    if (scheme && scheme != recipe.getScheme())
      return op.emitOpError("expected matrices of one scheme, found ")
             << scheme << " and " << recipe.getScheme();
    scheme = recipe.getScheme();
  }
  if ((scheme.getActivations() == ActivationKind::Int8) != bool(op.getScales()))
    return op.emitOpError("expected the input that ") << scheme << " asks for";
  return verifyBiases(op, op.getBiases(),
                      llvm::map_to_vector(op.getResults(), featuresOf),
                      symbols);
}

LogicalResult PhaseLinearOp::verify() { return verifyRecipeLinear(*this); }

LogicalResult PhaseLinearOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyRecipes<PhaseQuantizeOp>(*this, "a fairy2.phase_quantize",
                                        symbols);
}

LogicalResult SignLinearOp::verify() { return verifyRecipeLinear(*this); }

LogicalResult SignLinearOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyRecipes<SignQuantizeOp>(*this, "a fairy2.sign_quantize",
                                       symbols);
}

LogicalResult Int8LinearOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyLinear(*this, symbols);
}

//===----------------------------------------------------------------------===//
// Packed stage
//===----------------------------------------------------------------------===//

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
    expected = getKind() == PackingKind::Dense
                   ? DensePack{rows, columns, type.getElementTypeBitWidth() / 8,
                               bool(getBiases())}
                         .bytes()
                   : Int8Pack{rows, columns}.bytes();
  }
  if (int64_t(getBytes()) != expected)
    return emitOpError("expected ")
           << expected << " bytes for this layout, found " << getBytes();
  if (getBiases() && getKind() == PackingKind::Int8)
    return emitOpError("expected no bias beside int8 weights");
  return verifyBiases(*this, getBiases(), features, symbols);
}

LogicalResult PackedLinearOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto pack = lookUp<PackOp>(*this, getPackAttr(), symbols, "a fairy2.pack");
  if (!pack)
    return failure();
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

//===----------------------------------------------------------------------===//
// Loops stage
//===----------------------------------------------------------------------===//

LogicalResult TableLookupOp::verify() {
  const int64_t bytes = getTable().getType().getNumElements();
  if (getLanes() == LookupLanes::Quad ? bytes != 64 : bytes % 16 != 0)
    return emitOpError("expected ")
           << (getLanes() == LookupLanes::Quad ? "64 bytes"
                                               : "a multiple of 16 bytes")
           << ", found " << bytes;
  return success();
}

static LogicalResult verifyFourBytesPerLane(Operation *op, VectorType lanes,
                                            VectorType bytes) {
  if (4 * lanes.getNumElements() == bytes.getNumElements())
    return success();
  return op->emitOpError("expected four bytes per lane, found ")
         << bytes << " and " << lanes;
}

LogicalResult Sum4AccumulateOp::verify() {
  return verifyFourBytesPerLane(*this, getAccumulator().getType(),
                                getBytes().getType());
}

LogicalResult Dot4AccumulateOp::verify() {
  return verifyFourBytesPerLane(*this, getAccumulator().getType(),
                                getLhs().getType());
}

} // namespace fairy2
