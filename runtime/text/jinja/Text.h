// SPDX-License-Identifier: Apache-2.0
//
// Strings of the template engine: code points, as Python counts them, each with
// one bit that says whether it came from outside the template. The bit travels
// with the character through every operation, so that after rendering the
// tokenizer knows which text may spell control tokens and which may not.
#pragma once

#include <string>
#include <string_view>

namespace fairy2::jinja {

using Text = std::u32string;
using TextView = std::u32string_view;

/// Marks a character that came from a message, not from the template.
inline constexpr char32_t kUntrusted = 0x8000'0000;

inline char32_t valueOf(char32_t c) { return c & ~kUntrusted; }

/// Code points of UTF-8 text, broken sequences as U+FFFD.
Text textOf(std::string_view utf8, bool trusted);
/// UTF-8 without the marks.
std::string utf8Of(TextView text);

/// Comparison by code points, blind to the marks.
bool equal(TextView a, TextView b);
bool less(TextView a, TextView b);
/// Where `what` begins in `text` at or after `from`, or npos.
size_t findText(TextView text, TextView what, size_t from = 0);
size_t findLastText(TextView text, TextView what);
bool startsWith(TextView text, TextView what);
bool endsWith(TextView text, TextView what);

/// str.isspace of one character.
bool isSpace(char32_t c);
bool isDigit(char32_t c);
/// What may occur in a name: letters, digits and the underscore.
bool isWordCharacter(char32_t c);
bool isAlphabetic(char32_t c);
bool isLowerCase(char32_t c);
bool isUpperCase(char32_t c);
/// str.isprintable of one character.
bool isPrintable(char32_t c);

/// `text` without the characters of `set` at its ends (whitespace if `set` is
/// null), as str.strip.
TextView strip(TextView text, const Text *set, bool left = true,
               bool right = true);

} // namespace fairy2::jinja
