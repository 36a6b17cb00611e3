// SPDX-License-Identifier: Apache-2.0
//
// Relations between an op and the weights that it names: what the verifiers of
// several stages ask.
#pragma once

#include "dialect/Fairy2WeightOps.h"

namespace fairy2 {

/// Looks the symbol up and checks its kind, with a note at what was found.
template <typename OpTy>
OpTy lookUp(mlir::Operation *op, mlir::FlatSymbolRefAttr symbol,
            mlir::SymbolTableCollection &symbols, llvm::StringRef what) {
  mlir::Operation *found = symbols.lookupNearestSymbolFrom(op, symbol);
  if (!found) {
    op->emitOpError("expected ")
        << what << " named " << symbol << ", found no such symbol";
    return nullptr;
  }
  if (auto typed = mlir::dyn_cast<OpTy>(found))
    return typed;
  mlir::InFlightDiagnostic diag = op->emitOpError("expected ")
                                  << what << " named " << symbol << ", found a "
                                  << found->getName();
  diag.attachNote(found->getLoc()) << "defined here";
  return nullptr;
}

/// The shape behind a symbol that is a checkpoint weight or, from the packed
/// stage on, a pack of one, of one of the kinds. Null, after an error, where it
/// is neither.
mlir::RankedTensorType
weightType(mlir::Operation *op, mlir::FlatSymbolRefAttr symbol,
           mlir::SymbolTableCollection &symbols,
           llvm::ArrayRef<PackingKind> kinds = {PackingKind::Dense});

/// Fails where `weight`, which may be null, has another shape.
mlir::LogicalResult verifyShape(mlir::Operation *op,
                                mlir::RankedTensorType weight,
                                llvm::ArrayRef<int64_t> expected);

/// Fails where `table`, which may be null, has rows of another width.
mlir::LogicalResult verifyTable(mlir::Operation *op,
                                mlir::RankedTensorType table, int64_t features);

/// One symbol of a weight of shape [features], or unit, per matrix.
mlir::LogicalResult verifyBiases(mlir::Operation *op,
                                 std::optional<mlir::ArrayAttr> biases,
                                 llvm::ArrayRef<int64_t> features,
                                 mlir::SymbolTableCollection &symbols);

/// A weight of shape [outputs, inputs], and a bias of shape [outputs] if any.
template <typename LinearOpTy>
mlir::LogicalResult verifyLinear(LinearOpTy op,
                                 mlir::SymbolTableCollection &symbols) {
  if (mlir::failed(
          verifyShape(op, weightType(op, op.getWeightAttr(), symbols),
                      {featuresOf(op.getResult()), featuresOf(op.getInput())})))
    return mlir::failure();
  if constexpr (requires { op.getBiasAttr(); })
    if (op.getBiasAttr())
      return verifyShape(op, weightType(op, op.getBiasAttr(), symbols),
                         {featuresOf(op.getResult())});
  return mlir::success();
}

/// Int8 input comes with a scale per token, float input without.
template <typename LinearOpTy> mlir::LogicalResult verifyScales(LinearOpTy op) {
  const bool isInt8 = op.getInput().getType().getElementType().isInteger(8);
  if (isInt8 == bool(op.getScales()))
    return mlir::success();
  return op.emitOpError("expected scales with int8 input and none with float");
}

} // namespace fairy2
