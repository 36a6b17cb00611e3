// SPDX-License-Identifier: Apache-2.0
//
// The tokenizer of a checkpoint's folder, from whichever files hold it, as one
// text in the form of a tokenizer.json: compiler, runtime and trainer see the
// same tokens.
#pragma once

#include "frontend/ModelFolder.h"

#include <nlohmann/json.hpp>

#include <string>

namespace fairy2 {

/// The files beside config.json that readTokenizerFolder() may read.
inline constexpr const char *kTokenizerFiles[] = {"tokenizer.json",
                                                  "tokenizer.model",
                                                  "vocab.json",
                                                  "merges.txt",
                                                  "added_tokens.json",
                                                  "tokenizer_config.json",
                                                  "special_tokens_map.json"};

struct TokenizerFolder {
  /// For Tokenizer::fromJson(); empty when the folder holds no tokenizer.
  std::string json;
  /// The file that `json` is mostly made of, to name in errors.
  std::string origin;
  /// Texts by role, such as "bos_token", for chat templates.
  nlohmann::json specialTokens = nlohmann::json::object();
};

/// Reads tokenizer.json, else tokenizer.model (SentencePiece), else vocab.json
/// and merges.txt (byte-level BPE). Tokens that only tokenizer_config.json,
/// added_tokens.json or special_tokens_map.json name are added as transformers
/// adds them. Where its versions disagree, a tokenizer.json counts as the
/// `tokenizers` library reads it. Throws Error, with the files seen, for a
/// folder that holds a tokenizer of another kind.
TokenizerFolder readTokenizerFolder(const ModelFolder &model);

} // namespace fairy2
