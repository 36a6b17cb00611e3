// SPDX-License-Identifier: Apache-2.0
//
// Bytes that are no text, in pieces of every size: the same sentence each time.
// That UTF-8 is not Latin-1, or not cut, is what Python's decoder says of the
// same bytes (UnicodeDecodeError.start).
#include "runtime/support/PlainText.h"

#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

using namespace fairy2;
using namespace std::string_literals;

namespace {

std::string errorInPieces(std::string_view text, size_t piece) {
  return errorOf([&] {
    PlainTextCheck check("f");
    for (size_t at = 0; at < text.size(); at += piece)
      check.add(text.substr(at, piece));
    check.finish();
  });
}

TEST(PlainTextTest, WhatIsNoTextIsRefusedWithItsPlace) {
  const std::string lines = "ab\ncd\n";
  const std::pair<std::string, std::string> cases[] = {
      {"", "no error"},
      {"a", "no error"},
      {"\x01\t\n\x7f", "no error"},
      {"gr\u00fc\u00df \u20ac \U0001f642", "no error"},
      // A mark that does not begin the text is the character U+FEFF.
      {"a\xef\xbb\xbf", "no error"},
      {"\xef\xbb\xbf",
       "f: starts with a byte order mark, expected plain UTF-8"},
      {"\xef\xbb\xbf"
       "a",
       "f: starts with a byte order mark, expected plain UTF-8"},
      {"\xff\xfe"
       "a\0"s,
       "f: is UTF-16 or UTF-32, expected plain UTF-8"},
      {"\xfe\xff\0a"s, "f: is UTF-16 or UTF-32, expected plain UTF-8"},
      {"a\0b\0"s, "f: is UTF-16 or UTF-32, expected plain UTF-8"},
      {"\0a\0b"s, "f: is UTF-16 or UTF-32, expected plain UTF-8"},
      // UTF-16 of letters that are not Latin, up to its first space.
      {"\x3f\x04\x40\x04 \0\x38\x04"s,
       "f: line 1: byte 5 is zero, expected plain UTF-8"},
      // Four bytes of zero may be a device, but no text.
      {"\0\0\0\0"s, "f: line 1: byte 0 is zero, expected plain UTF-8"},
      {"\0\0\0a"s, "f: is UTF-16 or UTF-32, expected plain UTF-8"},
      // UTF-16 of ideographs alone: Python's '\u4f60\u597d' in utf-16-le is
      // '`O}Y', '\u65e5\u672c' in utf-16-be is 'e\xe5g,'.
      {"`O}Y", "no error"},
      {"e\xe5g,", "f: line 1: byte 1 (0xE5) is not UTF-8"},
      {"\x2d\x8a\x9e", "f: line 1: byte 1 (0x8A) is not UTF-8"},
      {lines + "e\0"s, "f: line 3: byte 7 is zero, expected plain UTF-8"},
      {lines + "caf\xe9\n", "f: line 3: byte 9 (0xE9) is not UTF-8"},
      {lines + "\x93quoted\x94", "f: line 3: byte 6 (0x93) is not UTF-8"},
      {"\xc0\xaf", "f: line 1: byte 0 (0xC0) is not UTF-8"},
      {"a\xed\xa0\x80", "f: line 1: byte 1 (0xED) is not UTF-8"},
      {lines + "\xe2\x82", "f: line 3: ends within a character at byte 6"},
      {lines + "x\xf0\x9f\x99", "f: line 3: ends within a character at byte 7"},
      {lines + "\xc3", "f: line 3: ends within a character at byte 6"},
      {"\x1f\x8b\x08", "f: expected text, found a compressed file"},
      {"\x28\xb5\x2f\xfd", "f: expected text, found a compressed file"},
      {"\xfd"
       "7zXZ\0"s,
       "f: expected text, found a compressed file"},
      {"PK\x03\x04\x14\0"s, "f: expected text, found a compressed file"},
  };
  for (const auto &[text, expected] : cases) {
    EXPECT_EQ(errorOf([&] { requirePlainText(text, "f"); }), expected);
    for (const size_t piece : {1, 2, 3, 5})
      EXPECT_EQ(errorInPieces(text, piece), expected) << piece;
  }
}

TEST(PlainTextTest, PlacesAreThoseOfTheWholeText) {
  std::string text;
  for (int i = 0; i < 50'000; ++i)
    text += "one \u20ac\n";
  const std::string place = std::to_string(text.size() + 1);
  text += "a\xe9" + text;
  for (const size_t piece : {size_t(1000), size_t(65536), text.size()})
    EXPECT_EQ(errorInPieces(text, piece),
              "f: line 50001: byte " + place + " (0xE9) is not UTF-8");
}

} // namespace
