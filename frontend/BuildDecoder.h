// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "frontend/ModelBuilder.h"

namespace fairy2 {

/// Builds the whole of @forward, as the model's config describes it, and
/// returns the logits. Throws Error naming file and tensor.
mlir::Value buildDecoder(ModelBuilder &model);

} // namespace fairy2
