// SPDX-License-Identifier: Apache-2.0
//
// The input of a layer whose weights are quantized.
#pragma once

#include "dialect/Fairy2QuantizedOps.h"

namespace fairy2 {

/// The input of a quantized layer before `op`: int8 values with a scale per
/// token, or `input` itself and no scales where activations stay float.
struct QuantizedInput {
  mlir::Value values, scales;
};

inline QuantizedInput quantizeInput(mlir::Operation *op, mlir::Value input,
                                    ActivationKind activations) {
  if (activations == ActivationKind::Float)
    return {input, mlir::Value()};
  mlir::OpBuilder builder(op);
  auto quantized = QuantizeActivationsOp::create(
      builder, op->getLoc(),
      mlir::cast<mlir::RankedTensorType>(input.getType())
          .clone(builder.getI8Type()),
      mlir::RankedTensorType::get({mlir::ShapedType::kDynamic},
                                  builder.getF32Type()),
      input);
  return {quantized.getValues(), quantized.getScales()};
}

} // namespace fairy2
