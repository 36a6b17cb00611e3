// SPDX-License-Identifier: Apache-2.0
//
// Files the tokenizer's tests read: committed ones beside the tests, and real
// tokenizers in sharedData().
#pragma once

#include "runtime/text/Tokenizer.h"
#include "runtime/text/tokenizer/SentencePiece.h"
#include "test/unit/TestFiles.h"

namespace fairy2::test {

inline std::filesystem::path ownData() {
  return std::filesystem::path(FAIRY2_SOURCE_DIR) / "test" / "unit" /
         "tokenizer" / "data";
}

/// The tokenizer of a tokenizer.model's bytes.
inline std::unique_ptr<Tokenizer> fromSentencePiece(std::string_view bytes,
                                                    const std::string &origin) {
  return Tokenizer::fromJson(tokenizer::sentencePieceToJson(bytes, origin),
                             origin);
}

} // namespace fairy2::test
