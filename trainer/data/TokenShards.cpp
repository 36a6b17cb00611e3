// SPDX-License-Identifier: Apache-2.0
//
// Two binary formats that other programs write, checked before use.
#include "trainer/data/TokenShards.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

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

  /// Throws Error unless `count` values of `size` bytes are left.
  void need(uint64_t count, uint64_t size, const char *what) const {
    if (count > left() / size)
      fail(std::string("the file ends before its ") + what);
  }
  uint64_t place() const { return at; }

  [[noreturn]] void fail(const std::string &text) const {
    throw Error(file.path + ": " + text);
  }

private:
  void take(void *to, uint64_t bytes, const char *what) {
    need(bytes, 1, what);
    file.read(at, {static_cast<uint8_t *>(to), size_t(bytes)});
    at += bytes;
  }

  InputFile file;
  uint64_t at = 0;
};

using UseTokens = std::function<void(std::span<const int32_t>)>;

/// Tokens on their way out, some at a time.
class Pieces {
public:
  explicit Pieces(const UseTokens &use) : use(use) {}

  void add(int32_t token) {
    tokens.push_back(token);
    if (tokens.size() == kPieceTokens)
      finish();
  }
  void finish() {
    use(tokens);
    tokens.clear();
  }

  static constexpr size_t kPieceTokens = size_t(1) << 16;

private:
  const UseTokens &use;
  std::vector<int32_t> tokens;
};

template <typename T>
void addTokens(Cursor &cursor, uint64_t count, Pieces &out) {
  cursor.need(count, sizeof(T), "tokens");
  while (count > 0) {
    const uint64_t piece = std::min<uint64_t>(count, Pieces::kPieceTokens);
    for (const T token : cursor.list<T>(piece, "tokens")) {
      if constexpr (sizeof(T) >= 4)
        if (token < T(0) ||
            int64_t(token) > std::numeric_limits<int32_t>::max())
          cursor.fail("token " + std::to_string(token) +
                      " is not in the range of a token");
      out.add(int32_t(token));
    }
    count -= piece;
  }
}

void readLlmC(const fs::path &path, Pieces &out) {
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
  if (magic == kMagic16)
    addTokens<uint16_t>(cursor, uint64_t(count), out);
  else
    addTokens<uint32_t>(cursor, uint64_t(count), out);
  if (cursor.left() > 0)
    cursor.fail("expected " + std::to_string(count) +
                " tokens as its header says, found " +
                std::to_string(cursor.left()) + " more bytes");
}

void readMegatron(const fs::path &path, std::optional<int32_t> before,
                  std::optional<int32_t> after, Pieces &out) {
  Cursor index(path);
  const auto magic = index.list<char>(9, "header");
  if (std::memcmp(magic.data(), "MMIDIDX\0", 9) != 0)
    index.fail("expected Megatron's MMIDIDX at its start");
  if (const auto version = index.value<uint64_t>("header"); version != 1)
    index.fail("expected version 1, found " + std::to_string(version));
  const auto type = index.value<uint8_t>("header");
  const auto count = index.value<uint64_t>("header");
  index.value<uint64_t>("header"); // documents, whose list is not needed
  // The lists of sizes and places are as long as the data has documents.
  const uint64_t sizesAt = index.place();
  index.need(count, sizeof(int32_t), "sizes");
  const uint64_t placesAt = sizesAt + count * sizeof(int32_t);
  index.skipTo(placesAt);
  index.need(count, sizeof(int64_t), "pointers");
  fs::path dataPath = path;
  Cursor data(dataPath.replace_extension(".bin"));
  constexpr uint64_t kEntries = uint64_t(1) << 16; // read at once
  std::vector<int32_t> sizes;
  std::vector<int64_t> places;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t entry = i % kEntries;
    if (entry == 0) {
      const uint64_t entries = std::min(count - i, kEntries);
      index.skipTo(sizesAt + i * sizeof(int32_t));
      sizes = index.list<int32_t>(entries, "sizes");
      index.skipTo(placesAt + i * sizeof(int64_t));
      places = index.list<int64_t>(entries, "pointers");
    }
    if (sizes[entry] < 0 || places[entry] < 0)
      index.fail("sequence " + std::to_string(i) +
                 " has a negative size or place");
    data.skipTo(uint64_t(places[entry]));
    if (before)
      out.add(*before);
    const auto size = uint64_t(sizes[entry]);
    switch (type) {
    case 4:
      addTokens<int32_t>(data, size, out);
      break;
    case 5:
      addTokens<int64_t>(data, size, out);
      break;
    case 8:
      addTokens<uint16_t>(data, size, out);
      break;
    default:
      index.fail("expected tokens of type 4 (int32), 5 (int64) or 8 (uint16), "
                 "found " +
                 std::to_string(type));
    }
    if (after)
      out.add(*after);
  }
}

} // namespace

bool isTokenShard(const fs::path &path) {
  return path.extension() == ".bin" || path.extension() == ".idx";
}

void readTokenShard(const fs::path &path, std::optional<int32_t> before,
                    std::optional<int32_t> after, const UseTokens &use) {
  Pieces out(use);
  if (path.extension() == ".idx")
    readMegatron(path, before, after, out);
  else
    readLlmC(path, out);
  out.finish();
}

} // namespace fairy2::trainer
