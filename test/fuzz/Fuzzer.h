// SPDX-License-Identifier: Apache-2.0
//
// What the fuzz targets share.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

namespace fairy2::fuzz {

#define REQUIRE(CONDITION)                                                     \
  do {                                                                         \
    if (!(CONDITION)) {                                                        \
      std::fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__,         \
                   #CONDITION);                                                \
      std::abort();                                                            \
    }                                                                          \
  } while (0)

inline std::string_view textOf(const uint8_t *data, size_t size) {
  return {reinterpret_cast<const char *>(data), size};
}

/// What comes before and after the first zero byte.
inline std::pair<std::string_view, std::string_view>
splitAtZero(std::string_view input) {
  const size_t end = input.find('\0');
  if (end == input.npos)
    return {input, {}};
  return {input.substr(0, end), input.substr(end + 1)};
}

/// A file in memory, with a path for code that opens files.
class MemoryFile {
public:
  explicit MemoryFile(std::string_view content)
      : descriptor(memfd_create("fuzz", MFD_CLOEXEC)) {
    REQUIRE(descriptor >= 0);
    REQUIRE(write(descriptor, content.data(), content.size()) ==
            ssize_t(content.size()));
  }
  ~MemoryFile() { close(descriptor); }
  MemoryFile(const MemoryFile &) = delete;
  MemoryFile &operator=(const MemoryFile &) = delete;

  std::string path() const {
    return "/proc/self/fd/" + std::to_string(descriptor);
  }

private:
  int descriptor;
};

} // namespace fairy2::fuzz
