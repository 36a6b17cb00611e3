// SPDX-License-Identifier: Apache-2.0
//
// What verifiers of several stages ask of weights.
#include "dialect/WeightVerifiers.h"

#include "dialect/Fairy2PackedOps.h"

using namespace mlir;

namespace fairy2 {

RankedTensorType weightType(Operation *op, FlatSymbolRefAttr symbol,
                            SymbolTableCollection &symbols,
                            ArrayRef<PackingKind> kinds) {
  Operation *found = symbols.lookupNearestSymbolFrom(op, symbol);
  if (auto pack = dyn_cast_or_null<PackOp>(found))
    if (llvm::is_contained(kinds, pack.getKind()) &&
        pack.getSources().size() == 1)
      symbol = cast<FlatSymbolRefAttr>(pack.getSources()[0]);
  std::string what = "a fairy2.weight";
  for (PackingKind kind : kinds)
    what += " or " + stringifyPackingKind(kind).str() + " pack";
  WeightOp weight = lookUp<WeightOp>(op, symbol, symbols, what);
  return weight ? weight.getTensorType() : RankedTensorType();
}

LogicalResult verifyTable(Operation *op, RankedTensorType table,
                          int64_t features) {
  if (!table)
    return failure();
  if (table.getRank() == 2 && table.getDimSize(1) == features)
    return success();
  return op->emitOpError("expected a weight of shape [vocabulary, ")
         << features << "], found " << table;
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

} // namespace fairy2
