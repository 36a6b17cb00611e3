// SPDX-License-Identifier: Apache-2.0
//
// Classes of characters as the parts of `tokenizers` 0.23 define them: Unicode
// 16 in regular expressions, 17 for numeric characters, 8 for punctuation, 9
// for accents and normal forms. The tables are its own (see
// make_unicode_tables.py), so that nothing depends on an installed library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2::tokenizer {

enum class CharClass : uint8_t {
  Other,
  Space, // White_Space
  Letter,
  Mark,
  DecimalNumber,
  LetterNumber,
  OtherNumber,
  Connector,
  Punctuation, // but connectors
};

/// The class of every code point, in two levels.
class CharClasses {
public:
  /// The only instance.
  static const CharClasses &get();
  CharClass operator[](char32_t c) const {
    return pages[size_t(pageOf[c >> 8]) << 8 | (c & 0xff)];
  }

private:
  CharClasses();
  std::vector<uint8_t> pageOf;
  std::vector<CharClass> pages;
};

/// \s, and Rust's char::is_whitespace.
bool isWhitespace(char32_t c);
/// \w of Rust's regular expressions.
bool isWord(char32_t c);
/// Rust's char::is_numeric.
bool isNumeric(char32_t c);
/// What the Punctuation pre-tokenizer isolates.
bool isPunctuation(char32_t c);
/// What the StripAccents normalizer removes.
bool isAccent(char32_t c);
/// Appends the lower case of `c`, as Rust's char::to_lowercase.
void appendLowercase(std::string &out, char32_t c);

enum class NormalForm { C, D, KC, KD };
/// Rewrites valid UTF-8 in a normal form of Unicode 9.
void normalize(std::string &text, NormalForm form);

/// For PCRE2, whose Unicode may be as old as 14: the characters added to the
/// category `name` ("L", "Lu", ..) up to Unicode 16, as the inside of a class.
std::string newMembers(std::string_view name);

} // namespace fairy2::tokenizer
