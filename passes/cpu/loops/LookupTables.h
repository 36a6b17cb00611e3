// SPDX-License-Identifier: Apache-2.0
//
// The look-up tables of every token, which all kernels of layers that read the
// same activations share: their scratch, the step that fills it, and how it is
// passed on.
#pragma once

#include "passes/cpu/loops/Buffer.h"
#include "passes/cpu/loops/Kernel.h"
#include "passes/cpu/loops/PhaseLookup.h"

namespace fairy2 {

class PackedLinearOp;

/// Scratch buffers of a layer on tables; those of products follow.
constexpr unsigned kTableBuffers = 5;

/// Scratch for `batch` tokens, in the order in which TableArguments finds it.
llvm::SmallVector<Buffer> tableScratch(mlir::MLIRContext *context,
                                       const SignPlanePack &pack,
                                       int64_t batch);

/// The scratch of `op` as arguments of a kernel.
struct TableArguments {
  TableArguments(Kernel &kernel, PackedLinearOp op);
  Tables values() const {
    return {low, high, magnitudes, wideStarts, wideList};
  }

  Rows low, high, magnitudes, wideStarts, wideList;
};

/// Emits the step that builds the tables of every token, or where the layer
/// `hasProducts` and many tokens come, the words of PhaseProducts.h.
void callPrepareTokens(PackedLinearOp op, const SignPlanePack &pack,
                       bool hasProducts, LoopContext &context);

} // namespace fairy2
