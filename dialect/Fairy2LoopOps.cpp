// SPDX-License-Identifier: Apache-2.0
//
// Verifiers of the loops stage.
#include "dialect/Fairy2LoopOps.h"

#include "mlir/IR/DialectImplementation.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "dialect/Fairy2LoopOps.cpp.inc"

namespace fairy2 {

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

static LogicalResult verifyTwoPerLane(Operation *op, VectorType lanes,
                                      VectorType pairs) {
  if (2 * lanes.getNumElements() == pairs.getNumElements())
    return success();
  return op->emitOpError("expected two elements per lane, found ")
         << pairs << " and " << lanes;
}

LogicalResult Dot2Op::verify() {
  return verifyTwoPerLane(*this, getResult().getType(), getLhs().getType());
}

LogicalResult Sum2AccumulateOp::verify() {
  return verifyTwoPerLane(*this, getAccumulator().getType(),
                          getPairs().getType());
}

} // namespace fairy2
