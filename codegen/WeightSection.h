// SPDX-License-Identifier: Apache-2.0
//
// The recipes of the packed stage become bytes: weights are read, quantized and
// packed one pack at a time, so memory holds a layer and not the model.
#pragma once

#include "codegen/ArtifactWriter.h"
#include "dialect/Fairy2Dialect.h"
#include "dialect/Phase.h"
#include "dialect/WeightStore.h"

#include <functional>

namespace fairy2 {

/// Told the packed bytes written so far and in all.
using Progress = std::function<void(int64_t done, int64_t total)>;

/// Bytes of one pack (dialect/Packing.h). Throws Error naming the tensor.
std::vector<uint8_t> packBytes(PackOp pack, const WeightStore &weights,
                               const ParallelFor &parallelFor);

/// Appends every pack of the module at its offset. The result does not depend
/// on `threads`.
void writeWeightSection(mlir::ModuleOp packed, const WeightStore &weights,
                        int threads, ArtifactWriter &writer,
                        const Progress &progress);

} // namespace fairy2
