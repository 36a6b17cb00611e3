// SPDX-License-Identifier: Apache-2.0
//
// Adds tokens such as BOS around the tokens of a text: the "post_processor" of
// a tokenizer.json.
#pragma once

#include "runtime/support/Json.h"

#include <cstdint>
#include <vector>

namespace fairy2::tokenizer {

class PostProcessor {
public:
  /// Reads "post_processor", which may be null. Ids must be below `end`.
  /// Throws Error.
  PostProcessor(const JsonField &field, int64_t end);

  /// Wraps the ids of one text.
  void apply(std::vector<int32_t> &ids) const;

private:
  void read(const JsonField &field, int64_t end);
  void readTemplate(const JsonField &field, int64_t end);

  std::vector<int32_t> before, after; // what surrounds the text
  bool addsTokens = false;
};

} // namespace fairy2::tokenizer
