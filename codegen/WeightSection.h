// SPDX-License-Identifier: Apache-2.0
//
// The recipes of the packed stage become bytes: weights are read, quantized and
// packed one pack at a time, so memory holds a layer and not the model.
#pragma once

#include "codegen/ArtifactWriter.h"
#include "dialect/phase/Phase.h"
#include "dialect/phase/WeightStore.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <map>
#include <optional>
#include <vector>

namespace fairy2 {

class PackOp;

/// Told the packed bytes written so far and in all.
using Progress = std::function<void(int64_t done, int64_t total)>;

/// The int8 grid of a weight's scales. Tiles have units of their own.
struct WeightGrid {
  float smallestUnit = 0, largestUnit = 0;
  std::vector<AxisIntegers> integers; ///< of all sets; none where tiles differ
};

/// What became of a weight that is quantized.
struct WeightFacts {
  std::optional<QuantizationError> error; ///< none of what was stored as phases
  std::optional<WeightGrid> grid;         ///< none on the float grid
};
/// By the names of the weights; of integers by that of their pack.
using WeightFactsMap = std::map<std::string, WeightFacts>;

/// Bytes of one pack (dialect/phase/Packing.h). Throws Error naming the tensor.
std::vector<uint8_t> packBytes(PackOp pack, const WeightStore &weights,
                               const ParallelFor &parallelFor,
                               WeightFactsMap &facts);

/// Appends every pack of the module at its offset. The result does not depend
/// on `threads`.
WeightFactsMap writeWeightSection(mlir::ModuleOp packed,
                                  const WeightStore &weights, int threads,
                                  ArtifactWriter &writer,
                                  const Progress &progress);

} // namespace fairy2
