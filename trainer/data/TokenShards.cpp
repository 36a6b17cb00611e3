// SPDX-License-Identifier: Apache-2.0
//
// Two binary formats that other programs write, checked before use.
#include "trainer/data/TokenShards.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"

#include <cstring>
#include <limits>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

/// A file read front to back, every read checked against its end.
class Cursor {
public:
  explicit Cursor(const fs::path &path)
      : file(InputFile::open(path.string())) {}

  template <typename T> T value(const char *what) {
    T result;
    take(&result, sizeof result, what);
    return result;
  }
  template <typename T> std::vector<T> list(uint64_t count, const char *what) {
    need(count, sizeof(T), what);
    std::vector<T> result(count);
    take(result.data(), count * sizeof(T), what);
    return result;
  }
  void skipTo(uint64_t offset) { at = offset; }
  uint64_t left() const { return file.bytes - std::min(at, file.bytes); }

  [[noreturn]] void fail(const std::string &text) const {
    throw Error(file.path + ": " + text);
  }

private:
  void need(uint64_t count, uint64_t size, const char *what) const {
    if (count > left() / size)
      fail(std::string("the file ends before its ") + what);
  }
  void take(void *to, uint64_t bytes, const char *what) {
    need(bytes, 1, what);
    file.read(at, {static_cast<uint8_t *>(to), size_t(bytes)});
    at += bytes;
  }

  InputFile file;
  uint64_t at = 0;
};

template <typename T>
void appendTokens(Cursor &cursor, uint64_t count, std::vector<int32_t> &out) {
  for (const T token : cursor.list<T>(count, "tokens")) {
    if constexpr (sizeof(T) >= 4)
      if (token < T(0) || int64_t(token) > std::numeric_limits<int32_t>::max())
        cursor.fail("token " + std::to_string(token) +
                    " is not in the range of a token");
    out.push_back(int32_t(token));
  }
}

std::vector<int32_t> readLlmC(const fs::path &path) {
  constexpr uint64_t kHeaderBytes = 256 * 4;
  constexpr int32_t kMagic16 = 20240520, kMagic32 = 20240801;
  Cursor cursor(path);
  const auto magic = cursor.value<int32_t>("header");
  if (magic != kMagic16 && magic != kMagic32)
    cursor.fail("expected llm.c's magic number 20240520 or 20240801, found " +
                std::to_string(magic));
  cursor.value<int32_t>("header"); // version
  const auto count = cursor.value<int32_t>("header");
  if (count < 0)
    cursor.fail("expected a number of tokens, found " + std::to_string(count));
  cursor.skipTo(kHeaderBytes);
  std::vector<int32_t> tokens;
  if (magic == kMagic16)
    appendTokens<uint16_t>(cursor, uint64_t(count), tokens);
  else
    appendTokens<uint32_t>(cursor, uint64_t(count), tokens);
  if (cursor.left() > 0)
    cursor.fail("expected " + std::to_string(count) +
                " tokens as its header says, found " +
                std::to_string(cursor.left()) + " more bytes");
  return tokens;
}

std::vector<int32_t> readMegatron(const fs::path &path,
                                  std::optional<int32_t> before,
                                  std::optional<int32_t> after) {
  Cursor index(path);
  const auto magic = index.list<char>(9, "header");
  if (std::memcmp(magic.data(), "MMIDIDX\0", 9) != 0)
    index.fail("expected Megatron's MMIDIDX at its start");
  if (const auto version = index.value<uint64_t>("header"); version != 1)
    index.fail("expected version 1, found " + std::to_string(version));
  const auto type = index.value<uint8_t>("header");
  const auto count = index.value<uint64_t>("header");
  index.value<uint64_t>("header"); // documents, whose list is not needed
  const auto sizes = index.list<int32_t>(count, "sizes");
  const auto places = index.list<int64_t>(count, "pointers");
  fs::path dataPath = path;
  Cursor data(dataPath.replace_extension(".bin"));
  std::vector<int32_t> tokens;
  for (uint64_t i = 0; i < count; ++i) {
    if (sizes[i] < 0 || places[i] < 0)
      index.fail("sequence " + std::to_string(i) +
                 " has a negative size or place");
    data.skipTo(uint64_t(places[i]));
    if (before)
      tokens.push_back(*before);
    const auto size = uint64_t(sizes[i]);
    switch (type) {
    case 4:
      appendTokens<int32_t>(data, size, tokens);
      break;
    case 5:
      appendTokens<int64_t>(data, size, tokens);
      break;
    case 8:
      appendTokens<uint16_t>(data, size, tokens);
      break;
    default:
      index.fail("expected tokens of type 4 (int32), 5 (int64) or 8 (uint16), "
                 "found " +
                 std::to_string(type));
    }
    if (after)
      tokens.push_back(*after);
  }
  return tokens;
}

} // namespace

bool isTokenShard(const fs::path &path) {
  return path.extension() == ".bin" || path.extension() == ".idx";
}

std::vector<int32_t> readTokenShard(const fs::path &path,
                                    std::optional<int32_t> before,
                                    std::optional<int32_t> after) {
  return path.extension() == ".idx" ? readMegatron(path, before, after)
                                    : readLlmC(path);
}

} // namespace fairy2::trainer
