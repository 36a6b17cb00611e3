// SPDX-License-Identifier: Apache-2.0
//
// What fairy2-compile tells of a model.so: kernels, bits per parameter, and how
// near the quantized weights are.
#pragma once

#include "codegen/WeightSection.h"

#include "mlir/IR/BuiltinOps.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fairy2 {

struct LayerSummary {
  std::string name;
  std::string op;
  std::string kernel; ///< of the first target
  int64_t parameters = 0, bytes = 0;
};

/// What became of one linear layer, or of the embedding.
struct QuantizedLayer {
  std::string name; ///< such as model.layers.0.mlp.up_proj
  std::string form; ///< such as "2 stages, tensor", "int8", "bf16"
  std::string grid; ///< such as "unit 0.0123 x 8 4 2 1"; "" on the float grid
  std::optional<double> relativeError; ///< ||A - Aq|| / ||A||, if measured
  bool onPlanes = false; ///< on phases or signs, which training is for
  std::string reason;    ///< why it is dense though a method was asked for
};

/// Why layers stay dense, by their names.
using DenseReasons = std::map<std::string, std::string>;

struct CompileSummary {
  std::vector<LayerSummary> layers;
  std::vector<QuantizedLayer> quantized; ///< in the order of their use
  int64_t fileBytes = 0;
  bool isAsTrained = false; ///< in the form that the checkpoint says it was
};

/// The embedding and the linear layers of a module of stage packed.
std::vector<QuantizedLayer> quantizedLayers(mlir::ModuleOp packed,
                                            const WeightFactsMap &facts,
                                            const DenseReasons &reasons);

/// Aligned columns for a terminal: weights by kernel, and layers, each on
/// a line of its own or those of one kind and form together. Ends with a
/// sentence where the weights lose more than a model bears that was not trained
/// for it; one that was (summary.isAsTrained) loses much and bears it.
std::string toTables(const CompileSummary &summary, bool everyLayer);

} // namespace fairy2
