// SPDX-License-Identifier: Apache-2.0
//
// Adds tokens such as BOS around the tokens of a text: the "post_processor" of
// a tokenizer.json.
#pragma once

#include "runtime/support/Json.h"
#include "runtime/text/Tokenizer.h"

#include <cstdint>

namespace fairy2::tokenizer {

class PostProcessor {
public:
  /// Reads "post_processor", which may be null. Ids must be below `end`.
  /// Throws Error.
  PostProcessor(const JsonField &field, int64_t end);

  /// What surrounds the ids of one text.
  const Tokenizer::Frame &frame() const { return around; }

private:
  void read(const JsonField &field, int64_t end);
  void readTemplate(const JsonField &field, int64_t end);

  Tokenizer::Frame around;
  bool addsTokens = false;
};

} // namespace fairy2::tokenizer
