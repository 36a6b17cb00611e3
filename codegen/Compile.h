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
  /// What nobody asks for resolveScheme() fills in. No stages: dense layers.
  QuantizeOptions quantize;
  bool isMethodNamed = false; ///< of phases, as complex_phase_v2
  LoopsOptions loops;         ///< the cpu is that of each target in turn
  std::vector<const CpuTarget *> targets;
  EmitKind emit = EmitKind::So;
  int threads = 1;
  std::filesystem::path output;
  Progress progress;
};

/// Consumes `module`. Writes the output file, or for an earlier stage its text
/// (or code). The options of the scheme get the values that they stand for.
/// Throws Error.
CompileSummary compile(mlir::ModuleOp module, const WeightStore &weights,
                       const ModelAssets &assets, CompileOptions &options);

/// The fairy2-opt command that takes a module of stage model to `kind`, of
/// resolved options.
std::string optCommand(EmitKind kind, const CompileOptions &options);

/// The method that resolved options name: none, complex_phase_v2, ternary, ..
std::string methodName(const QuantizeOptions &options);

} // namespace fairy2
