// SPDX-License-Identifier: Apache-2.0
//
// A Hugging Face checkpoint becomes a module of stage model.
#pragma once

#include "frontend/Checkpoint.h"
#include "frontend/HFConfig.h"

#include "mlir/IR/BuiltinOps.h"

namespace fairy2 {

/// Builds the module; its weights are symbols that point into the checkpoint.
/// Throws Error naming file and tensor.
mlir::OwningOpRef<mlir::ModuleOp> importModel(mlir::MLIRContext *context,
                                              const Checkpoint &checkpoint,
                                              const HFConfig &config);

} // namespace fairy2
