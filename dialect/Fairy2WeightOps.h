// SPDX-License-Identifier: Apache-2.0
//
// The symbols that stand for weights.
#pragma once

#include "dialect/Fairy2OpBase.h"

#define GET_OP_CLASSES
#include "dialect/Fairy2WeightOps.h.inc"

namespace fairy2 {

/// The weight that a fairy2.phase_quantize or fairy2.sign_quantize reads, or
/// the weight itself: a source of a pack.
WeightOp weightBehind(mlir::Operation *source);

} // namespace fairy2
