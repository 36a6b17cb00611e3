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

namespace fairy2 {

class PackOp;

/// Told the packed bytes written so far and in all.
using Progress = std::function<void(int64_t done, int64_t total)>;

/// How near the phases or signs of each weight are, by its name, and integers
/// by the name of their pack; weights that were stored as phases have no entry.
using WeightErrors = std::map<std::string, QuantizationError>;

/// Bytes of one pack (dialect/phase/Packing.h). Throws Error naming the tensor.
std::vector<uint8_t> packBytes(PackOp pack, const WeightStore &weights,
                               const ParallelFor &parallelFor,
                               WeightErrors &errors);

/// Appends every pack of the module at its offset. The result does not depend
/// on `threads`.
WeightErrors writeWeightSection(mlir::ModuleOp packed,
                                const WeightStore &weights, int threads,
                                ArtifactWriter &writer,
                                const Progress &progress);

} // namespace fairy2
