// SPDX-License-Identifier: Apache-2.0
//
// The parts of a checkpoint's folder that are neither config nor weights.
#pragma once

#include "dialect/ModelAssets.h"
#include "frontend/HFConfig.h"

#include <filesystem>

namespace fairy2 {

/// Describes the model, and reads tokenizer.json and the chat template of
/// tokenizer_config.json or chat_template.jinja where they exist. Throws Error.
ModelAssets readAssets(const std::filesystem::path &directory,
                       const HFConfig &config);

} // namespace fairy2
