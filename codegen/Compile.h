// SPDX-License-Identifier: Apache-2.0
//
// The whole way from a module of stage model to model.so, or to any stage
// between. fairy2-compile is this function with a command line.
#pragma once

#include "codegen/Pipelines.h"
#include "codegen/WeightSection.h"
#include "dialect/ModelAssets.h"
#include "passes/CpuTarget.h"

#include "mlir/IR/BuiltinOps.h"

#include <filesystem>

namespace fairy2 {

enum class Stage { Model, Quantized, Packed, Loops, Llvm, Assembly, Object, So };

struct CompileOptions {
  std::string method; ///< goes into the manifest, e.g. complex_phase_v2
  int64_t stages = 2; ///< 0: dense
  bool floatActivations = false;
  HeadKind head = HeadKind::Keep;
  CacheKind cache = CacheKind::F16;
  std::vector<const CpuTarget *> targets;
  Stage emit = Stage::So;
  int64_t batch = 64;
  int64_t prefetchL1 = -1, prefetchL2 = -1; ///< bytes; -1: the target's own
  int threads = 1;
  std::filesystem::path output;
  Progress progress;
};

struct LayerSummary {
  std::string name;
  std::string op;
  std::string kernel; ///< of the first target
  int64_t parameters = 0, bytes = 0;
};

struct CompileSummary {
  std::vector<LayerSummary> layers;
  int64_t fileBytes = 0;
};

/// Consumes `module`. Writes the output file, or for an earlier stage its text
/// (or code). Throws Error.
CompileSummary compile(mlir::ModuleOp module, const WeightStore &weights,
                       const ModelAssets &assets,
                       const CompileOptions &options);

/// The fairy2-opt command that takes a module of stage model to `stage`.
std::string optCommand(Stage stage, const CompileOptions &options);

} // namespace fairy2
