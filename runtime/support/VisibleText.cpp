// SPDX-License-Identifier: Apache-2.0
#include "runtime/support/VisibleText.h"

#include <cstdint>
#include <cstdio>
#include <iostream>

#include <unistd.h>

namespace fairy2 {
namespace {

/// The character at the start of `text` and its bytes; bytes that are no UTF-8
/// stand for themselves.
struct Character {
  uint32_t value;
  size_t bytes;
};

Character firstOf(std::string_view text) {
  const auto byte = [&](size_t i) { return uint32_t(uint8_t(text[i])); };
  const auto continues = [&](size_t i) {
    return i < text.size() && (byte(i) & 0xc0) == 0x80;
  };
  if ((byte(0) & 0xe0) == 0xc0 && continues(1))
    return {(byte(0) & 31) << 6 | (byte(1) & 63), 2};
  if ((byte(0) & 0xf0) == 0xe0 && continues(1) && continues(2))
    return {(byte(0) & 15) << 12 | (byte(1) & 63) << 6 | (byte(2) & 63), 3};
  return {byte(0), 1}; // Longer ones need no escape; their bytes do not either.
}

bool isHidden(Character c) {
  if (c.bytes == 1)
    return (c.value < 0x20 && c.value != '\n' && c.value != '\t') ||
           c.value == 0x7f;
  return c.value < 0xa0 || // C1, or a control character in too many bytes
         (c.value >= 0x202a && c.value <= 0x202e) ||
         (c.value >= 0x2066 && c.value <= 0x2069);
}

} // namespace

std::string visibleText(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const Character c = firstOf(text);
    if (isHidden(c)) {
      char escape[8];
      std::snprintf(escape, sizeof(escape),
                    c.bytes == 1 ? "\\x%02x" : "\\u%04x", unsigned(c.value));
      shown += escape;
    } else {
      shown += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes);
  }
  return shown;
}

std::function<void(std::string_view)> standardOutput() {
  return [isTerminal = isatty(STDOUT_FILENO) != 0](std::string_view text) {
    if (isTerminal)
      std::cout << visibleText(text);
    else
      std::cout << text;
    std::cout << std::flush;
  };
}

} // namespace fairy2
