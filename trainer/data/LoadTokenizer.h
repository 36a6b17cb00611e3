// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/text/Tokenizer.h"

#include <filesystem>
#include <memory>
#include <string>

namespace fairy2::trainer {

struct LoadedTokenizer {
  std::unique_ptr<Tokenizer> tokenizer;
  /// Of all that decides which tokens a text becomes.
  std::string sha256;
};

/// The tokenizer of a checkpoint's folder. Throws Error.
LoadedTokenizer loadTokenizer(const std::filesystem::path &folder);

} // namespace fairy2::trainer
