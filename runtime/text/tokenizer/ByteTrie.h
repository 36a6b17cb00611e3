// SPDX-License-Identifier: Apache-2.0
//
// A set of strings with values, walked byte by byte to find which of them
// stand at the front of a text.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace fairy2::tokenizer {

class ByteTrie {
public:
  using Entry = std::pair<std::string_view, int32_t>;

  ByteTrie() = default;
  /// Strings must not be empty, values not negative; of equal strings the one
  /// with the least value counts. The strings are not referred to later.
  explicit ByteTrie(std::vector<Entry> entries);

  bool empty() const { return nodes.size() <= 1; }
  /// Whether any string starts with this byte.
  bool mayStart(char byte) const { return first[uint8_t(byte)] != 0; }

  /// Calls visit(value, length) for each string at the front of `text`, the
  /// shortest first.
  template <typename Visit>
  void visitPrefixes(std::string_view text, Visit visit) const {
    if (text.empty())
      return;
    uint32_t node = first[uint8_t(text[0])];
    for (size_t length = 1; node; ++length) {
      if (nodes[node].value >= 0)
        visit(nodes[node].value, length);
      if (length == text.size())
        return;
      node = child(node, text[length]);
    }
  }
  /// The longest string at the front of `text`: value and length, or length 0.
  std::pair<int32_t, size_t> longest(std::string_view text) const {
    std::pair<int32_t, size_t> best = {-1, 0};
    visitPrefixes(
        text, [&](int32_t value, size_t length) { best = {value, length}; });
    return best;
  }

private:
  struct Node {
    int32_t value = -1;
    uint32_t firstChild = 0; // children are neighbours, sorted by byte
    uint16_t childCount = 0;
    uint8_t byte = 0;
  };
  uint32_t child(uint32_t node, char byte) const;

  std::vector<Node> nodes; // 0 is the root, and in links means none
  std::array<uint32_t, 256> first = {};
};

} // namespace fairy2::tokenizer
