// SPDX-License-Identifier: Apache-2.0
//
// LLVM dialect -> machine code of one CPU, through LLVM's TargetMachine.
#pragma once

#include "passes/cpu/CpuTarget.h"

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace fairy2 {

enum class CodeKind { Assembly, Object };

/// Translates, optimizes at O3 and emits position-independent code. The result
/// refers to nothing but memcpy, memmove and memset. Throws Error.
std::string emitCode(mlir::ModuleOp module, const CpuTarget &target,
                     CodeKind kind);

} // namespace fairy2
