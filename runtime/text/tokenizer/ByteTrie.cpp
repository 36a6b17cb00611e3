// SPDX-License-Identifier: Apache-2.0
//
// Built level by level from the sorted strings: each node owns a range of them.
#include "runtime/text/tokenizer/ByteTrie.h"

#include <algorithm>

namespace fairy2::tokenizer {

ByteTrie::ByteTrie(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end());
  struct Pending {
    uint32_t node;
    size_t begin, end, depth;
  };
  nodes.emplace_back();
  std::vector<Pending> level = {{0, 0, entries.size(), 0}};
  while (!level.empty()) {
    std::vector<Pending> below;
    for (Pending p : level) {
      // The strings that end here sort before the longer ones.
      for (; p.begin < p.end && entries[p.begin].first.size() == p.depth;
           ++p.begin)
        if (nodes[p.node].value < 0)
          nodes[p.node].value = entries[p.begin].second;
      nodes[p.node].firstChild = uint32_t(nodes.size());
      while (p.begin < p.end) {
        const char byte = entries[p.begin].first[p.depth];
        size_t end = p.begin;
        while (end < p.end && entries[end].first[p.depth] == byte)
          ++end;
        below.push_back({uint32_t(nodes.size()), p.begin, end, p.depth + 1});
        nodes.push_back({.byte = uint8_t(byte)});
        ++nodes[p.node].childCount;
        p.begin = end;
      }
    }
    level = std::move(below);
  }
  for (uint32_t i = 0; i < nodes[0].childCount; ++i)
    first[nodes[nodes[0].firstChild + i].byte] = nodes[0].firstChild + i;
}

uint32_t ByteTrie::child(uint32_t node, char byte) const {
  const Node *begin = nodes.data() + nodes[node].firstChild;
  const Node *end = begin + nodes[node].childCount;
  const Node *found = std::lower_bound(
      begin, end, uint8_t(byte),
      [](const Node &n, uint8_t value) { return n.byte < value; });
  return found != end && found->byte == uint8_t(byte)
             ? uint32_t(found - nodes.data())
             : 0;
}

} // namespace fairy2::tokenizer
