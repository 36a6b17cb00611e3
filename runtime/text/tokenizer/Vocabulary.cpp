// SPDX-License-Identifier: Apache-2.0
//
// Open addressing with linear probing, at most half full.
#include "runtime/text/tokenizer/Vocabulary.h"

#include <algorithm>
#include <cstring>

namespace fairy2::tokenizer {

uint64_t hashBytes(std::string_view bytes) {
  constexpr uint64_t multiplier = 0x9e3779b97f4a7c15u;
  uint64_t hash = bytes.size() * multiplier;
  const auto mix = [&](uint64_t word) {
    const auto product =
        static_cast<unsigned __int128>(hash ^ word) * multiplier;
    hash = uint64_t(product) ^ uint64_t(product >> 64);
  };
  const char *p = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; p += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    mix(word);
  }
  if (left) {
    uint64_t word = 0;
    std::memcpy(&word, p, left);
    mix(word);
  }
  mix(multiplier >> 1);
  return hash;
}

size_t Vocabulary::slotOf(std::string_view text) const {
  const size_t mask = slots.size() - 1;
  size_t slot = hashBytes(text) & mask;
  while (slots[slot] >= 0 && piece(slots[slot]) != text)
    slot = (slot + 1) & mask;
  return slot;
}

int32_t Vocabulary::find(std::string_view text) const {
  return slots.empty() ? -1 : slots[slotOf(text)];
}

Vocabulary::Added Vocabulary::add(std::string_view text, int32_t id) {
  if (contains(id))
    return Added::DuplicateId;
  if (slots.size() < 2 * size_t(count + 1)) {
    slots.assign(std::max<size_t>(64, 2 * slots.size()), -1);
    for (size_t other = 0; other < entries.size(); ++other)
      if (entries[other].offset != hole)
        slots[slotOf(piece(int32_t(other)))] = int32_t(other);
  }
  const size_t slot = slotOf(text);
  if (slots[slot] >= 0)
    return Added::DuplicatePiece;
  if (size_t(id) >= entries.size())
    entries.resize(size_t(id) + 1);
  entries[id] = {arena.size(), text.size()};
  arena += text;
  slots[slot] = id;
  ++count;
  return Added::Yes;
}

} // namespace fairy2::tokenizer
