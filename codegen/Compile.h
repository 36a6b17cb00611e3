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

enum class Stage {
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
  /// A method of real signs in place of phases; then there are no stages.
  std::optional<SignMethod> signs;
  /// 0: dense; without a value, what the checkpoint has or else 2.
  std::optional<int64_t> stages;
  /// Without a value, what the checkpoint has or else per tensor.
  std::optional<ScaleGranularity> scales;
  QuantizeMode mode = QuantizeMode::Canonical;
  /// Regular expressions of layers that stay dense.
  std::vector<std::string> keep;
  /// REGEX=T: other stages for the layers that match.
  std::vector<std::string> stagesFor;
  bool floatActivations = false;
  HeadKind head = HeadKind::Keep;
  CacheKind cache = CacheKind::F16;
  std::vector<const CpuTarget *> targets;
  Stage emit = Stage::So;
  int64_t batch = 64;
  int threads = 1;
  std::filesystem::path output;
  Progress progress;
};

/// Consumes `module`. Writes the output file, or for an earlier stage its text
/// (or code). Throws Error.
CompileSummary compile(mlir::ModuleOp module, const WeightStore &weights,
                       const ModelAssets &assets,
                       const CompileOptions &options);

/// The fairy2-opt command that takes a module of stage model to `stage`.
std::string optCommand(Stage stage, const CompileOptions &options);

/// The method that resolved options name: none, complex_phase_v2, ternary, ..
std::string methodName(const CompileOptions &options);

} // namespace fairy2
