// SPDX-License-Identifier: Apache-2.0
//
// One step function decides about every byte sequence; the rest are loops.
#include "runtime/support/Utf8.h"

#include <cstring>

namespace fairy2 {
namespace {

enum class Sequence { Valid, Broken, Unfinished };

struct Step {
  Sequence kind;
  unsigned length;
};

/// Looks at the sequence that starts at text[0]; `text` must not be empty.
Step step(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80)
    return {Sequence::Valid, 1};
  // The second byte has a narrower range after E0, ED, F0 and F4: no overlong
  // forms, no surrogates, nothing above U+10FFFF.
  unsigned length;
  uint8_t low = 0x80, high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0)
      low = 0xa0;
    if (lead == 0xed)
      high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0)
      low = 0x90;
    if (lead == 0xf4)
      high = 0x8f;
  } else {
    return {Sequence::Broken, 1};
  }
  for (unsigned i = 1; i < length; ++i) {
    if (i == text.size())
      return {Sequence::Unfinished, i};
    if (byte(i) < low || byte(i) > high)
      return {Sequence::Broken, i};
    low = 0x80;
    high = 0xbf;
  }
  return {Sequence::Valid, length};
}

constexpr std::string_view replacement = "\xef\xbf\xbd";

/// Length of the leading ASCII of `text`.
size_t asciiPrefix(std::string_view text) {
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    if (word & 0x8080808080808080u)
      break;
  }
  while (i < text.size() && static_cast<uint8_t>(text[i]) < 0x80)
    ++i;
  return i;
}

} // namespace

CodePoint codePointBefore(const char *end) {
  const char *begin = end - 1;
  while (isContinuation(*begin))
    --begin;
  return codePointAt(begin);
}

void appendUtf8(std::string &out, char32_t value) {
  if (value < 0x80) {
    out += char(value);
  } else if (value < 0x800) {
    out += char(0xc0 | value >> 6);
    out += char(0x80 | (value & 0x3f));
  } else if (value < 0x10000) {
    out += char(0xe0 | value >> 12);
    out += char(0x80 | (value >> 6 & 0x3f));
    out += char(0x80 | (value & 0x3f));
  } else {
    out += char(0xf0 | value >> 18);
    out += char(0x80 | (value >> 12 & 0x3f));
    out += char(0x80 | (value >> 6 & 0x3f));
    out += char(0x80 | (value & 0x3f));
  }
}

void moveValidUtf8(std::string &bytes, std::string &out) {
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const Step s = step(rest);
    if (s.kind == Sequence::Unfinished)
      break;
    if (s.kind == Sequence::Valid)
      out += rest.substr(0, s.length);
    else
      out += replacement;
    rest.remove_prefix(s.length);
  }
  bytes.erase(0, bytes.size() - rest.size());
}

Utf8Prefix validUtf8Prefix(std::string_view text) {
  std::string_view rest = text;
  while (true) {
    rest.remove_prefix(asciiPrefix(rest));
    if (rest.empty())
      return {text.size(), false};
    const Step s = step(rest);
    if (s.kind != Sequence::Valid)
      return {text.size() - rest.size(), s.kind == Sequence::Unfinished};
    rest.remove_prefix(s.length);
  }
}

bool isValidUtf8(std::string_view text) {
  return validUtf8Prefix(text).length == text.size();
}

std::string replaceInvalidUtf8(std::string_view text) {
  std::string bytes(text), out;
  out.reserve(bytes.size());
  moveValidUtf8(bytes, out);
  if (!bytes.empty())
    out += replacement;
  return out;
}

} // namespace fairy2
