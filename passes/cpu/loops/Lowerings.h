// SPDX-License-Identifier: Apache-2.0
//
// The ops that have kernels.
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace fairy2 {

class LoopContext;

// Each family of kernels includes the definitions of its own ops alone.
class AttentionOp;
class EmbeddingOp;
class GatedActivationOp;
class GatherRowsOp;
class PackedLinearOp;
class QuantizeActivationsOp;
class RmsNormOp;
class RopeOp;
class RopeTableOp;
class ScaleOp;
class SoftCapOp;

/// Emits the kernel calls of an op. One specialization per op of
/// OpsWithKernels; one that is missing is an error of the linker.
template <typename Op> void lower(Op op, LoopContext &context);

template <typename... Ops> struct OpList {};
using OpsWithKernels =
    OpList<EmbeddingOp, GatherRowsOp, RmsNormOp, mlir::arith::AddFOp, ScaleOp,
           SoftCapOp, GatedActivationOp, QuantizeActivationsOp, RopeTableOp,
           RopeOp, AttentionOp, PackedLinearOp>;

} // namespace fairy2
