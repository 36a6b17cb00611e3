// SPDX-License-Identifier: Apache-2.0
//
// Verifiers of the model stage: the relations that ODS constraints cannot
// state.
#include "dialect/Fairy2ModelOps.h"

#include "dialect/WeightVerifiers.h"

#include "mlir/IR/DialectImplementation.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "dialect/Fairy2ModelOps.cpp.inc"

namespace fairy2 {

/// Scores are divided by a cap and multiplied again.
static LogicalResult verifyCap(Operation *op, const APFloat &cap) {
  if (cap.isFinite() && !cap.isZero() && !cap.isNegative())
    return success();
  return op->emitOpError("expected a positive cap, found ")
         << cap.convertToFloat();
}

LogicalResult EmbeddingOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyTable(
      *this,
      weightType(*this, getWeightAttr(), symbols,
                 {PackingKind::Dense, PackingKind::Int8, PackingKind::Int4}),
      featuresOf(getResult()));
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

} // namespace fairy2
