// SPDX-License-Identifier: Apache-2.0
//
// UTF-8 as texts of models need it: code points of text known to be valid, and
// the replacement of broken sequences by U+FFFD exactly as Rust's
// String::from_utf8_lossy and Python's errors="replace" do it (one U+FFFD for
// each maximal prefix of a well-formed sequence).
#pragma once

#include <string>
#include <string_view>

namespace fairy2 {

/// A code point and the bytes that spell it.
struct CodePoint {
  char32_t value;
  unsigned length;
};

/// Whether `byte` stands within a sequence, not at its start.
inline bool isContinuation(char byte) { return (byte & 0xc0) == 0x80; }

/// The code point at `text`, which must point into valid UTF-8, not its end.
inline CodePoint codePointAt(const char *text) {
  const auto *p = reinterpret_cast<const unsigned char *>(text);
  if (p[0] < 0x80)
    return {p[0], 1};
  if (p[0] < 0xe0)
    return {char32_t((p[0] & 0x1f) << 6 | (p[1] & 0x3f)), 2};
  if (p[0] < 0xf0)
    return {char32_t((p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 | (p[2] & 0x3f)),
            3};
  return {char32_t((p[0] & 0x07) << 18 | (p[1] & 0x3f) << 12 |
                   (p[2] & 0x3f) << 6 | (p[3] & 0x3f)),
          4};
}

/// The code point that ends just before `end`, which must point into valid
/// UTF-8, not its beginning.
CodePoint codePointBefore(const char *end);

/// Appends the UTF-8 form of a Unicode scalar value.
void appendUtf8(std::string &out, char32_t value);

/// Moves the longest decidable prefix of `bytes` to `out`, broken sequences
/// replaced by U+FFFD; what may still become a whole sequence stays in `bytes`.
void moveValidUtf8(std::string &bytes, std::string &out);

/// The well-formed start of a text.
struct Utf8Prefix {
  size_t length;
  bool unfinished; ///< what follows is the start of a sequence that goes on
};
Utf8Prefix validUtf8Prefix(std::string_view text);

/// Whether `text` is well-formed UTF-8.
bool isValidUtf8(std::string_view text);

/// `text` with each broken sequence replaced by U+FFFD.
std::string replaceInvalidUtf8(std::string_view text);

} // namespace fairy2
