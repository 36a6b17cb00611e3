// SPDX-License-Identifier: Apache-2.0
//
// How layers are quantized where the user leaves it open.
#pragma once

#include "codegen/Pipelines.h"
#include "dialect/phase/TrainedScheme.h"

#include "mlir/IR/BuiltinOps.h"

#include <optional>

namespace fairy2 {

/// Gives every option of the scheme its value: what was asked for, or what the
/// weights of the module are stored with, or what the checkpoint was trained
/// for, or the defaults for checkpoints that say nothing of training. Where the
/// user names a method of phases (`isMethodNamed`) or the official mode, the
/// method's own definitions stand in for the latter two. Throws Error when
/// options and weights, or options and method, disagree.
void resolveScheme(mlir::ModuleOp module,
                   const std::optional<TrainedScheme> &trained,
                   bool isMethodNamed, QuantizeOptions &options);

/// Whether resolved options quantize as the checkpoint was trained for.
bool isAsTrained(const TrainedScheme &trained, const QuantizeOptions &options);

} // namespace fairy2
