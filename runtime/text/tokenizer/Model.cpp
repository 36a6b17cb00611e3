// SPDX-License-Identifier: Apache-2.0
//
// What all models share: byte tokens and the word cache.
#include "runtime/text/tokenizer/Model.h"

#include <algorithm>

namespace fairy2::tokenizer {
namespace {

constexpr size_t longestWord = 64;

} // namespace

size_t WordCache::slotOf(std::string_view word, uint64_t hash) const {
  // Few steps only, since who writes the text can choose words that collide.
  constexpr size_t probes = 8;
  const size_t mask = slots.size() - 1;
  for (size_t i = 0; i < probes; ++i) {
    const Slot &s = slots[(hash + i) & mask];
    if (!s.wordLength ||
        (s.hash == hash && s.wordLength == word.size() &&
         std::string_view(words).substr(s.wordOffset, s.wordLength) == word))
      return (hash + i) & mask;
  }
  return hash & mask;
}

bool WordCache::find(std::string_view word, std::vector<int32_t> &ids) const {
  if (slots.empty() || word.size() > longestWord)
    return false;
  const uint64_t hash = hashBytes(word);
  const Slot &s = slots[slotOf(word, hash)];
  if (!s.wordLength || s.hash != hash || s.wordLength != word.size() ||
      std::string_view(words).substr(s.wordOffset, s.wordLength) != word)
    return false;
  ids.insert(ids.end(), tokens.begin() + s.idsOffset,
             tokens.begin() + s.idsOffset + s.idsCount);
  return true;
}

void WordCache::insert(std::string_view word, std::span<const int32_t> ids) {
  if (word.empty() || word.size() > longestWord)
    return;
  if (added * 2 >= slots.size())
    grow();
  const uint64_t hash = hashBytes(word);
  slots[slotOf(word, hash)] = {hash, uint32_t(words.size()),
                               uint32_t(word.size()), uint32_t(tokens.size()),
                               uint32_t(ids.size())};
  words += word;
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  ++added;
}

/// Makes room, or forgets everything when it is large enough.
void WordCache::grow() {
  constexpr size_t mostSlots = size_t(1) << 16;
  if (slots.size() == mostSlots) {
    slots.assign(mostSlots, Slot());
    words.clear();
    tokens.clear();
    added = 0;
    return;
  }
  std::vector<Slot> old(std::max<size_t>(256, slots.size() * 4));
  old.swap(slots);
  for (const Slot &s : old)
    if (s.wordLength)
      slots[slotOf(std::string_view(words).substr(s.wordOffset, s.wordLength),
                   s.hash)] = s;
}

std::vector<int32_t> byteTokens(const Vocabulary &pieces) {
  constexpr const char *digits = "0123456789ABCDEF";
  std::vector<int32_t> ids;
  for (int byte = 0; byte < 256; ++byte)
    ids.push_back(pieces.find(std::string("<0x") + digits[byte >> 4] +
                              digits[byte & 15] + ">"));
  return ids;
}

} // namespace fairy2::tokenizer
