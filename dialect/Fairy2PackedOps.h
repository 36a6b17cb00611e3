// SPDX-License-Identifier: Apache-2.0
//
// Ops of the packed stage.
#pragma once

#include "dialect/Fairy2OpBase.h"

#define GET_OP_CLASSES
#include "dialect/Fairy2PackedOps.h.inc"

namespace fairy2 {

/// The form in which the planes of `recipes`, which are all of one kind, width
/// and scheme, are stacked in a pack.
SignPlanePack signPlanePackOf(llvm::ArrayRef<mlir::Operation *> recipes,
                              bool hasBias);
/// That of a valid pack of kind plane_stream or real_plane_stream.
SignPlanePack signPlanePackOf(PackOp pack);

} // namespace fairy2
