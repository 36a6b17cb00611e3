// SPDX-License-Identifier: Apache-2.0
//
// Character classes come from utf8proc.
#include "runtime/text/jinja/Text.h"

#include "runtime/support/Utf8.h"

#include <algorithm>

#include <utf8proc.h>

namespace fairy2::jinja {
namespace {

bool sameCharacter(char32_t a, char32_t b) { return valueOf(a) == valueOf(b); }

utf8proc_category_t categoryOf(char32_t c) {
  return utf8proc_category(utf8proc_int32_t(valueOf(c)));
}

} // namespace

Text textOf(std::string_view utf8, bool trusted) {
  const char32_t mark = trusted ? 0 : kUntrusted;
  std::string repaired;
  if (!isValidUtf8(utf8)) {
    repaired = replaceInvalidUtf8(utf8);
    utf8 = repaired;
  }
  Text text;
  text.reserve(utf8.size());
  for (size_t at = 0; at < utf8.size();) {
    const auto [value, length] = codePointAt(utf8.data() + at);
    text.push_back(value | mark);
    at += length;
  }
  return text;
}

std::string utf8Of(TextView text) {
  std::string utf8;
  utf8.reserve(text.size());
  for (const char32_t c : text)
    appendUtf8(utf8, valueOf(c));
  return utf8;
}

bool equal(TextView a, TextView b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), sameCharacter);
}

bool less(TextView a, TextView b) {
  return std::lexicographical_compare(
      a.begin(), a.end(), b.begin(), b.end(),
      [](char32_t x, char32_t y) { return valueOf(x) < valueOf(y); });
}

size_t findText(TextView text, TextView what, size_t from) {
  if (from > text.size())
    return TextView::npos;
  const auto found = std::search(text.begin() + from, text.end(), what.begin(),
                                 what.end(), sameCharacter);
  return found == text.end() && !what.empty() ? TextView::npos
                                              : size_t(found - text.begin());
}

size_t findLastText(TextView text, TextView what) {
  const auto found = std::find_end(text.begin(), text.end(), what.begin(),
                                   what.end(), sameCharacter);
  return found == text.end() && !what.empty() ? TextView::npos
                                              : size_t(found - text.begin());
}

bool startsWith(TextView text, TextView what) {
  return text.size() >= what.size() && equal(text.substr(0, what.size()), what);
}

bool endsWith(TextView text, TextView what) {
  return text.size() >= what.size() &&
         equal(text.substr(text.size() - what.size()), what);
}

bool isSpace(char32_t c) {
  c = valueOf(c);
  return (c >= 9 && c <= 13) || (c >= 28 && c <= 32) || c == 0x85 ||
         c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

bool isDigit(char32_t c) { return valueOf(c) >= '0' && valueOf(c) <= '9'; }

bool isAlphabetic(char32_t c) {
  switch (categoryOf(c)) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
    return true;
  default:
    return false;
  }
}

bool isWordCharacter(char32_t c) {
  return valueOf(c) == '_' || isDigit(c) || isAlphabetic(c);
}

bool isLowerCase(char32_t c) { return categoryOf(c) == UTF8PROC_CATEGORY_LL; }
bool isUpperCase(char32_t c) { return categoryOf(c) == UTF8PROC_CATEGORY_LU; }

bool isPrintable(char32_t c) {
  if (valueOf(c) == ' ')
    return true;
  switch (categoryOf(c)) {
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_CS:
  case UTF8PROC_CATEGORY_CO:
  case UTF8PROC_CATEGORY_CN:
  case UTF8PROC_CATEGORY_ZL:
  case UTF8PROC_CATEGORY_ZP:
  case UTF8PROC_CATEGORY_ZS:
    return false;
  default:
    return true;
  }
}

TextView strip(TextView text, const Text *set, bool left, bool right) {
  const auto stripped = [&](char32_t c) {
    return set ? findText(*set, TextView(&c, 1)) != TextView::npos : isSpace(c);
  };
  while (left && !text.empty() && stripped(text.front()))
    text.remove_prefix(1);
  while (right && !text.empty() && stripped(text.back()))
    text.remove_suffix(1);
  return text;
}

} // namespace fairy2::jinja
