// SPDX-License-Identifier: Apache-2.0
//
// The pieces of a model and their ids, both ways: one arena of bytes, one table
// by id, one hash table by content.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2::tokenizer {

/// No id may reach this: it bounds the memory a small file can ask for.
constexpr int64_t idLimit = int64_t(1) << 22;

/// What the pieces of a model whose pieces are all searched for may measure.
constexpr size_t longestPiece = 1024;
constexpr size_t mostPieceBytes = size_t(32) << 20;

/// A fast hash of short strings.
uint64_t hashBytes(std::string_view bytes);

class Vocabulary {
public:
  enum class Added { Yes, DuplicateId, DuplicatePiece };
  /// Adds a piece with an id in [0, idLimit).
  Added add(std::string_view piece, int32_t id);

  /// The id of `piece`, or -1.
  int32_t find(std::string_view piece) const;
  bool contains(int32_t id) const {
    return id >= 0 && size_t(id) < entries.size() && entries[id].offset != hole;
  }
  /// The piece of an id that the vocabulary contains.
  std::string_view piece(int32_t id) const {
    return std::string_view(arena).substr(entries[id].offset,
                                          entries[id].length);
  }
  /// Number of pieces.
  int64_t size() const { return count; }
  /// 1 + the largest id.
  int64_t end() const { return int64_t(entries.size()); }

private:
  static constexpr uint64_t hole = ~uint64_t(0);
  struct Entry {
    uint64_t offset = hole;
    uint64_t length = 0;
  };
  size_t slotOf(std::string_view piece) const;

  std::string arena;
  std::vector<Entry> entries;
  std::vector<int32_t> slots; // ids, -1 where free; the size a power of two
  int64_t count = 0;
};

} // namespace fairy2::tokenizer
