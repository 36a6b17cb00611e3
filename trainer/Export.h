// SPDX-License-Identifier: Apache-2.0
//
// A model as a Hugging Face checkpoint that fairy2-compile and transformers
// read.
#pragma once

#include "frontend/DType.h"
#include "trainer/Model.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace fairy2 {

/// Rounds all latents to `type` in place, so that what is measured afterwards
/// is what writeCheckpoint() stores.
void roundLatents(Model &model, DType type);

/// Writes model.safetensors and config.json to `folder`, and copies tokenizer
/// and generation files from `source`, the folder of the model's config. The
/// linear layers hold their latents when the compiler finds the same codes in
/// them, and otherwise the quantized weights. model.safetensors appears last
/// and in one step. Throws Error.
void writeCheckpoint(const Model &model, const Numerics &numerics, DType type,
                     const std::filesystem::path &source,
                     const std::filesystem::path &folder);

/// Writes named tensors (float32, contiguous) to a safetensors file that
/// appears in one step.
void writeSafetensors(
    const std::filesystem::path &file,
    const std::vector<std::pair<std::string, at::Tensor>> &tensors, DType type);

} // namespace fairy2
