// SPDX-License-Identifier: Apache-2.0
//
// Declarations of all passes; what they do is written in Passes.td.
#pragma once

#include "passes/Choices.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace fairy2 {

#define GEN_PASS_DECL
#include "passes/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"

} // namespace fairy2
