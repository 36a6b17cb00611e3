// SPDX-License-Identifier: Apache-2.0
//
// One function per architecture: each builds the whole of @forward and returns
// the logits. Their names in config.json are in the table of ImportModel.cpp.
#pragma once

#include "frontend/ModelBuilder.h"

namespace fairy2 {

mlir::Value buildLlama(ModelBuilder &model);

} // namespace fairy2
