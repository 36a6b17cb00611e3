// SPDX-License-Identifier: Apache-2.0
//
// Tokens of one run on its disk, so that memory does not grow with a text.
#pragma once

#include "runtime/support/Bytes.h"
#include "runtime/support/File.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace fairy2::trainer {

/// How many bytes hold a token of a vocabulary.
inline size_t tokenWidth(int64_t vocabSize) {
  return vocabSize > 65536 ? 4 : 2;
}

/// Fills `out` with tokens of `width` bytes, little-endian, from byte `offset`
/// of an InputFile or a ScratchFile on.
template <typename File>
void readTokens(const File &file, uint64_t offset, size_t width,
                std::span<int32_t> out) {
  if (width == 4) {
    file.read(offset, writableBytesOf(out));
    return;
  }
  std::vector<uint16_t> stored(out.size());
  file.read(offset, writableBytesOf(stored));
  std::copy(stored.begin(), stored.end(), out.begin());
}

class TokenFile {
public:
  /// An empty one on the disk of `folder` (see ScratchFile), of tokens below
  /// `vocabSize`.
  TokenFile(const std::filesystem::path &folder, int64_t vocabSize);

  void append(std::span<const int32_t> tokens);
  /// To call after the last token, before the first read.
  void finish();

  int64_t size() const { return count; }
  /// Fills `out` with the tokens from `begin`.
  void read(int64_t begin, std::span<int32_t> out) const;

private:
  ScratchFile file;
  size_t width;
  int64_t count = 0;
  std::vector<uint8_t> pending;
};

} // namespace fairy2::trainer
