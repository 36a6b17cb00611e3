// SPDX-License-Identifier: Apache-2.0
//
// The parts of a checkpoint's folder that are neither config nor weights.
#pragma once

#include "dialect/ModelAssets.h"
#include "frontend/HFConfig.h"

namespace fairy2 {

/// Describes the model, and reads what exists of the tokenizer and the special
/// tokens' texts (TokenizerFolder) and of the chat template
/// (chat_template.jinja, else tokenizer_config.json, from a list the one named
/// default). Throws Error.
ModelAssets readAssets(const ModelFolder &folder, const HFConfig &config);

} // namespace fairy2
