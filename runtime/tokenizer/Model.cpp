// SPDX-License-Identifier: Apache-2.0
//
// What all models share: byte tokens and the word cache.
#include "runtime/tokenizer/Model.h"

#include <algorithm>

namespace fairy2::tokenizer {
namespace {

constexpr size_t longestWord = 64;
constexpr size_t mostSlots = size_t(1) << 16;

} // namespace

bool WordCache::find(std::string_view word, std::vector<int32_t> &ids) const {
  if (slots.empty() || word.size() > longestWord)
    return false;
  const uint64_t hash = hashBytes(word);
  const size_t mask = slots.size() - 1;
  for (size_t i = hash & mask; slots[i].wordLength; i = (i + 1) & mask) {
    const Slot &s = slots[i];
    if (s.hash == hash && s.wordLength == word.size() &&
        std::string_view(words).substr(s.wordOffset, s.wordLength) == word) {
      ids.insert(ids.end(), tokens.begin() + s.idsOffset,
                 tokens.begin() + s.idsOffset + s.idsCount);
      return true;
    }
  }
  return false;
}

void WordCache::insert(std::string_view word, std::span<const int32_t> ids) {
  if (word.empty() || word.size() > longestWord)
    return;
  if (used * 2 >= slots.size()) {
    std::vector<Slot> old;
    old.swap(slots);
    if (old.size() == mostSlots) {
      old.clear();
      words.clear();
      tokens.clear();
      used = 0;
      slots.resize(mostSlots);
    } else {
      slots.resize(std::max<size_t>(256, old.size() * 4));
    }
    for (const Slot &s : old) {
      if (!s.wordLength)
        continue;
      size_t i = s.hash & (slots.size() - 1);
      while (slots[i].wordLength)
        i = (i + 1) & (slots.size() - 1);
      slots[i] = s;
    }
  }
  const uint64_t hash = hashBytes(word);
  size_t i = hash & (slots.size() - 1);
  while (slots[i].wordLength)
    i = (i + 1) & (slots.size() - 1);
  slots[i] = {hash, uint32_t(words.size()), uint32_t(word.size()),
              uint32_t(tokens.size()), uint32_t(ids.size())};
  words += word;
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  ++used;
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
