// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/Tokenizer.h"

#include <filesystem>
#include <memory>

namespace fairy2 {

/// The tokenizer of a checkpoint's folder: tokenizer.json, or else
/// tokenizer.model. Throws Error.
std::unique_ptr<Tokenizer> loadTokenizer(const std::filesystem::path &folder);

} // namespace fairy2
