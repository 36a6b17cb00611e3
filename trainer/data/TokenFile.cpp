// SPDX-License-Identifier: Apache-2.0
//
// Two or four bytes a token, little-endian, written in large pieces.
#include "trainer/data/TokenFile.h"

#include <cstring>

namespace fairy2::trainer {

TokenFile::TokenFile(const std::filesystem::path &folder, int64_t vocabSize)
    : file(folder), width(tokenWidth(vocabSize)) {}

void TokenFile::append(std::span<const int32_t> tokens) {
  constexpr size_t kPieceBytes = size_t(1) << 20;
  const size_t begin = pending.size();
  pending.resize(begin + tokens.size() * width);
  for (size_t i = 0; i < tokens.size(); ++i)
    std::memcpy(pending.data() + begin + i * width, &tokens[i], width);
  count += std::ssize(tokens);
  if (pending.size() >= kPieceBytes)
    finish();
}

void TokenFile::finish() {
  file.append(pending);
  pending.clear();
}

void TokenFile::read(int64_t begin, std::span<int32_t> out) const {
  readTokens(file, uint64_t(begin) * width, width, out);
}

} // namespace fairy2::trainer
