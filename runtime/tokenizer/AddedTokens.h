// SPDX-License-Identifier: Apache-2.0
//
// Tokens that are found in text before the model sees it: control tokens and
// what a fine-tune added. They are found by tries, the longest of those that
// begin leftmost, never by a regular expression joined from untrusted text.
#pragma once

#include "runtime/tokenizer/JsonField.h"
#include "runtime/tokenizer/Normalizer.h"
#include "runtime/tokenizer/Vocabulary.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace fairy2::tokenizer {

struct AddedToken {
  int32_t id;
  std::string content;
  bool singleWord, leftStrip, rightStrip, normalized, special;
};

/// A stretch of text: an added token, or text for the model (id -1).
struct Segment {
  std::string_view text;
  int32_t id;
};

class AddedTokens {
public:
  /// Reads "added_tokens"; the others are needed to number and match them as
  /// `tokenizers` does. Throws Error.
  AddedTokens(const JsonField &field, const Vocabulary &pieces,
              const Normalizer *normalizer);

  /// Cuts text at tokens that match it as it is (before the normalizer ran) or
  /// those that match normalized text. With `parseSpecial` off special tokens
  /// are left as text.
  void split(std::string_view text, bool normalized, bool parseSpecial,
             std::vector<Segment> &segments) const;

  /// The token with this content or id, or null.
  const AddedToken *find(std::string_view content) const;
  const AddedToken *find(int32_t id) const;

  const std::vector<AddedToken> &all() const { return tokens; }
  bool has(bool normalized) const { return !tries[normalized].empty(); }

private:
  /// A trie over bytes.
  class Trie {
  public:
    /// An earlier token keeps its place when a later one has the same text.
    void add(std::string_view text, size_t token);
    bool empty() const { return nodes.size() == 1; }
    bool mayStart(char c) const { return starts[uint8_t(c)]; }
    /// The longest token at the front of `text`: its index and length, or
    /// length 0.
    std::pair<size_t, size_t> longest(std::string_view text) const;

  private:
    struct Node {
      int64_t token = -1;
      std::vector<std::pair<char, uint32_t>> children;
    };
    std::vector<Node> nodes = std::vector<Node>(1);
    std::array<bool, 256> starts = {};
  };

  std::vector<AddedToken> tokens;
  std::unordered_map<std::string_view, size_t> byContent;
  std::unordered_map<int32_t, size_t> byId;
  Trie tries[2]; // by `normalized`
};

} // namespace fairy2::tokenizer
