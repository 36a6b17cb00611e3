// SPDX-License-Identifier: Apache-2.0
//
// The first bytes tell other encodings and compressed files; what is wrong
// further on is told with its place.
#include "runtime/support/PlainText.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <cstdio>

namespace fairy2 {
namespace {

using namespace std::string_view_literals;

/// Enough for each of what checkStart() knows.
constexpr size_t kStartBytes = 6;

} // namespace

void PlainTextCheck::add(std::string_view bytes) {
  if (held.empty() && started) {
    // The usual case, without a copy.
    const size_t end = validUtf8Prefix(bytes).length;
    if (bytes.substr(0, end).find('\0') == bytes.npos) {
      line += uint64_t(std::count(bytes.begin(), bytes.begin() + end, '\n'));
      offset += end;
      bytes.remove_prefix(end);
    }
    if (bytes.empty())
      return;
  }
  held += bytes;
  if (started || held.size() >= kStartBytes)
    checkHeld();
}

void PlainTextCheck::finish() {
  checkHeld();
  if (!held.empty())
    fail("line " + std::to_string(line) + ": ends within a character at byte " +
         std::to_string(offset));
}

void PlainTextCheck::checkStart() {
  started = true;
  for (const std::string_view magic :
       {"\x1f\x8b"sv, "\x28\xb5\x2f\xfd"sv, "\xfd\x37zXZ"sv, "PK\x03\x04"sv})
    if (held.starts_with(magic))
      fail("expected text, found a compressed file");
  if (held.starts_with("\xef\xbb\xbf"))
    fail("starts with a byte order mark, expected plain UTF-8");
  // Zeros alone are no characters in any of them.
  const std::string_view first = std::string_view(held).substr(0, 4);
  if (held.starts_with("\xff\xfe") || held.starts_with("\xfe\xff") ||
      (first.find('\0') != first.npos &&
       first.find_first_not_of('\0') != first.npos))
    fail("is UTF-16 or UTF-32, expected plain UTF-8");
}

/// Goes past all of `held` but the start of a character.
void PlainTextCheck::checkHeld() {
  if (!started)
    checkStart();
  const auto [end, unfinished] = validUtf8Prefix(held);
  if (const size_t zero = held.find('\0'); zero < end)
    failAt(zero, "is zero, expected plain UTF-8");
  if (end < held.size() && !unfinished) {
    char text[24];
    std::snprintf(text, sizeof text, "(0x%02X) is not UTF-8",
                  unsigned(uint8_t(held[end])));
    failAt(end, text);
  }
  line += uint64_t(std::count(held.begin(), held.begin() + end, '\n'));
  offset += end;
  held.erase(0, end);
}

void PlainTextCheck::fail(const std::string &sentence) const {
  throw Error(name + ": " + sentence);
}

void PlainTextCheck::failAt(size_t place, const std::string &what) const {
  const auto lines =
      uint64_t(std::count(held.begin(), held.begin() + place, '\n'));
  fail("line " + std::to_string(line + lines) + ": byte " +
       std::to_string(offset + place) + " " + what);
}

void requirePlainText(std::string_view text, const std::string &name) {
  PlainTextCheck check(name);
  check.add(text);
  check.finish();
}

} // namespace fairy2
