// SPDX-License-Identifier: Apache-2.0
//
// Linear layers on packs, one generator per kind of packing.
#pragma once

#include "passes/cpu/loops/Buffer.h"
#include "passes/cpu/loops/Kernel.h"

namespace fairy2 {

class PackedLinearOp;
class PackOp;

void lowerPhaseLinear(PackedLinearOp op, PackOp pack, LoopContext &context);
void lowerDenseLinear(PackedLinearOp op, PackOp pack, LoopContext &context);
void lowerInt8Linear(PackedLinearOp op, PackOp pack, LoopContext &context);

/// Scratch of lowerPhaseLinear, for `batch` tokens.
llvm::SmallVector<Buffer> phaseLinearScratch(PackedLinearOp op, PackOp pack,
                                             const CpuTarget &target,
                                             int64_t batch);

/// Tells readers of the manifest which kernel reads a pack.
void nameKernelOf(PackOp pack, const llvm::Twine &kernel);

} // namespace fairy2
