// SPDX-License-Identifier: Apache-2.0
//
// The verifier of weights.
#include "dialect/Fairy2WeightOps.h"

#include "mlir/IR/DialectImplementation.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "dialect/Fairy2WeightOps.cpp.inc"

namespace fairy2 {

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

} // namespace fairy2
