// SPDX-License-Identifier: Apache-2.0
//
// What the artefact says of itself: the fields of runtime/README.md.
#pragma once

#include "codegen/Compile.h"

namespace fairy2 {

class ManifestBuilder {
public:
  /// `packed` is the module of stage packed; it must outlive the builder.
  ManifestBuilder(mlir::ModuleOp packed, const ModelAssets &assets,
                  const CompileOptions &options);

  /// Records the code for one target from its module of stage loops.
  void addVariant(mlir::ModuleOp loops, const CpuTarget &target,
                  const std::string &symbol);
  /// The units and integers of layers whose scales have them.
  void setGrids(const WeightFactsMap &facts);
  void setTokenizer(int64_t offset, int64_t bytes);

  const nlohmann::json &json() const { return manifest; }
  std::vector<LayerSummary> layers() const;

private:
  mlir::ModuleOp packed;
  nlohmann::json manifest;
};

} // namespace fairy2
