// SPDX-License-Identifier: Apache-2.0
//
// Verifiers of the quantized stage.
#include "dialect/Fairy2QuantizedOps.h"

#include "dialect/WeightVerifiers.h"

#include "mlir/IR/DialectImplementation.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "dialect/Fairy2QuantizedOps.cpp.inc"

namespace fairy2 {

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
  if (scheme.getScaleGrid() == ScaleGrid::Int8 &&
      type.getDimSize(1) > kMaxGridColumns)
    return emitOpError("expected at most ")
           << kMaxGridColumns << " columns on the scale grid int8, found "
           << type;
  if (StoredPhasesAttr stored = weight.getPhasesAttr();
      stored && phaseSchemeOf(stored) != phaseSchemeOf(scheme))
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
  // Not of a pack, whose bytes are another's.
  if (!lookUp<WeightOp>(*this, getWeightAttr(), symbols, "a fairy2.weight"))
    return failure();
  return verifyLinear(*this, symbols);
}

LogicalResult
QuantizedEmbeddingOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight =
      lookUp<WeightOp>(*this, getWeightAttr(), symbols, "a fairy2.weight");
  return verifyTable(*this,
                     weight ? weight.getTensorType() : RankedTensorType(),
                     featuresOf(getResult()));
}

} // namespace fairy2
