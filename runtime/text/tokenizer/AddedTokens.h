// SPDX-License-Identifier: Apache-2.0
//
// Tokens that are found in text before the model sees it: control tokens and
// what a fine-tune added. They are found by tries, the longest of those that
// begin leftmost, never by a regular expression joined from untrusted text.
#pragma once

#include "runtime/support/Json.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/tokenizer/ByteTrie.h"
#include "runtime/text/tokenizer/Normalizer.h"
#include "runtime/text/tokenizer/Vocabulary.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fairy2::tokenizer {

struct AddedToken {
  int32_t id;
  std::string content;
  /// What it is decoded to and, if marked `normalized`, found by: the content,
  /// normalized.
  std::string text;
  bool singleWord, leftStrip, rightStrip, normalized, special;
};

/// A stretch of text: an added token, or text for the model (id -1).
struct Segment {
  std::string_view text;
  int32_t id;
};

class AddedTokens {
public:
  /// Reads "added_tokens" of the file, then "companion_tokens", which come from
  /// the files beside it and say so in "origin"; the others are needed to
  /// number and match them as `tokenizers` does. Throws Error.
  AddedTokens(const JsonField &root, const Vocabulary &pieces,
              const Normalizer *normalizer);

  AddedTokens(const AddedTokens &) = delete;
  AddedTokens &operator=(const AddedTokens &) = delete;

  /// Cuts text at tokens that match it as it is (before the normalizer ran) or
  /// those that match normalized text. Special tokens that touch one of the
  /// `untrusted` ranges of the text (sorted, disjoint) are left as text.
  void split(std::string_view text, bool normalized,
             std::span<const ByteRange> untrusted,
             std::vector<Segment> &segments) const;

  /// Whether special tokens are among those that match normalized text.
  bool hasNormalizedSpecial() const { return normalizedSpecial; }

  /// The token with this content or id, or null.
  const AddedToken *find(std::string_view content) const;
  const AddedToken *find(int32_t id) const;

  const std::vector<AddedToken> &all() const { return tokens; }

private:
  void add(AddedToken token);

  std::vector<AddedToken> tokens;
  std::unordered_map<std::string_view, size_t> byContent;
  std::unordered_map<int32_t, size_t> byId;
  bool normalizedSpecial = false;
  ByteTrie tries[2]; // by `normalized`; values are positions in `tokens`
};

} // namespace fairy2::tokenizer
