// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "frontend/ModelFolder.h"
#include "runtime/text/Tokenizer.h"

#include <memory>
#include <string>

namespace fairy2::trainer {

struct LoadedTokenizer {
  std::unique_ptr<Tokenizer> tokenizer;
  /// Of all that decides which tokens a text becomes.
  std::string sha256;
};

/// The tokenizer of a checkpoint's folder. Throws Error.
LoadedTokenizer loadTokenizer(const ModelFolder &folder);

} // namespace fairy2::trainer
