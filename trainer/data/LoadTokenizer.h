// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/text/Tokenizer.h"

#include <filesystem>
#include <memory>

namespace fairy2::trainer {

/// The file of a checkpoint's folder that loadTokenizer() reads:
/// tokenizer.json, or else tokenizer.model. Throws Error when there is neither.
std::filesystem::path tokenizerFile(const std::filesystem::path &folder);
/// The tokenizer of a checkpoint's folder. Throws Error.
std::unique_ptr<Tokenizer> loadTokenizer(const std::filesystem::path &folder);

} // namespace fairy2::trainer
