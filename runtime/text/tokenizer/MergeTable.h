// SPDX-License-Identifier: Apache-2.0
//
// Which pairs of tokens merge, to what, and in which order.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace fairy2::tokenizer {

struct Merge {
  uint32_t rank; // the least merges first
  int32_t id;    // of the merged piece
};

/// (left id, right id) -> Merge, by open addressing.
class MergeTable {
public:
  /// Empties the table and makes room for `count` pairs.
  void reset(size_t count) {
    slots.assign(std::bit_ceil(std::max<size_t>(16, 2 * count)), Slot());
    shift = 64 - std::countr_zero(slots.size());
  }
  /// A later merge of the same pair replaces the earlier one.
  void set(int32_t left, int32_t right, Merge merge) {
    Slot &slot = slots[slotOf(keyOf(left, right))];
    slot = {keyOf(left, right), merge};
  }
  /// Null when the pair does not merge.
  const Merge *find(int32_t left, int32_t right) const {
    const Slot &slot = slots[slotOf(keyOf(left, right))];
    return slot.key == freeKey ? nullptr : &slot.merge;
  }

private:
  static constexpr uint64_t freeKey = ~uint64_t(0);
  struct Slot {
    uint64_t key = freeKey;
    Merge merge = {};
  };
  static uint64_t keyOf(int32_t left, int32_t right) {
    return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
  }
  size_t slotOf(uint64_t key) const {
    const size_t mask = slots.size() - 1;
    size_t slot = size_t(key * 0x9e3779b97f4a7c15u >> shift);
    while (slots[slot].key != key && slots[slot].key != freeKey)
      slot = (slot + 1) & mask;
    return slot;
  }
  // The size is a power of two; the shift leaves the bits of a slot's number.
  std::vector<Slot> slots = std::vector<Slot>(2);
  int shift = 63;
};

} // namespace fairy2::tokenizer
