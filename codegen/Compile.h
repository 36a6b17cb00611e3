// SPDX-License-Identifier: Apache-2.0
//
// The whole way from a module of stage model to model.so, or to any stage
// between. fairy2-compile is this function with a command line.
#pragma once

#include "codegen/CompileSummary.h"
#include "codegen/Pipelines.h"
#include "codegen/WeightSection.h"
#include "dialect/ModelAssets.h"
#include "passes/cpu/CpuTarget.h"

#include "mlir/IR/BuiltinOps.h"

#include <filesystem>
#include <optional>

namespace fairy2 {

enum class EmitKind {
  Model,
  Quantized,
  Packed,
  Loops,
  Llvm,
  Assembly,
  Object,
  So
};

struct CompileOptions {
  /// Stages and scales that nobody asks for are those of the checkpoint, if it
  /// holds phases, or else the defaults. No stages: dense layers.
  QuantizeOptions quantize;
  LoopsOptions loops; ///< the cpu is that of each target in turn
  std::vector<const CpuTarget *> targets;
  EmitKind emit = EmitKind::So;
  int threads = 1;
  std::filesystem::path output;
  Progress progress;
};

/// Consumes `module`. Writes the output file, or for an earlier stage its text
/// (or code). Stages and scales of the options get the values that they stand
/// for. Throws Error.
CompileSummary compile(mlir::ModuleOp module, const WeightStore &weights,
                       const ModelAssets &assets, CompileOptions &options);

/// The fairy2-opt command that takes a module of stage model to `kind`.
std::string optCommand(EmitKind kind, const CompileOptions &options);

/// The method that resolved options name: none, complex_phase_v2, ternary, ..
std::string methodName(const QuantizeOptions &options);

} // namespace fairy2
