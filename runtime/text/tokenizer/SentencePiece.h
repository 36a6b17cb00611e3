// SPDX-License-Identifier: Apache-2.0
//
// Reads a SentencePiece tokenizer.model, which is what is left when a
// checkpoint has no tokenizer.json.
#pragma once

#include "runtime/text/tokenizer/Model.h"
#include "runtime/text/tokenizer/Normalizer.h"

#include <nlohmann/json.hpp>

namespace fairy2::tokenizer {

struct SentencePiece {
  std::unique_ptr<Model> model;
  std::unique_ptr<Normalizer> normalizer;
  /// "added_tokens", "post_processor" and "decoder" as in a tokenizer.json.
  nlohmann::json rest;
};

/// Parses the bytes of the file `origin`. Throws Error.
SentencePiece readSentencePiece(std::string_view bytes,
                                const std::string &origin);

} // namespace fairy2::tokenizer
