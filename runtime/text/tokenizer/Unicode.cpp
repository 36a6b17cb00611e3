// SPDX-License-Identifier: Apache-2.0
//
// Lookups in the generated tables, lower case and normal forms.
#include "runtime/text/tokenizer/Unicode.h"

#include "runtime/support/Utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <map>

namespace fairy2::tokenizer {
namespace {

struct Range {
  char32_t first, last;
};
struct ClassRange {
  char32_t first, last;
  CharClass value;
};
struct CategoryRange {
  char32_t first, last;
  const char *category;
};

#include "runtime/text/tokenizer/UnicodeTables.inc"

template <size_t count>
bool contains(const Range (&ranges)[count], char32_t c) {
  const Range *after = std::upper_bound(
      ranges, ranges + count, c,
      [](char32_t value, const Range &range) { return value < range.first; });
  return after != ranges && c <= after[-1].last;
}

} // namespace

bool isWhitespace(char32_t c) {
  if (c < 0x80)
    return c == ' ' || (c >= '\t' && c <= '\r');
  return c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
         c == 0x202f || c == 0x205f || c == 0x3000;
}

CharClasses::CharClasses() {
  std::vector<CharClass> all(0x110000, CharClass::Other);
  for (const ClassRange &range : classRanges)
    std::fill(all.begin() + range.first, all.begin() + range.last + 1,
              range.value);
  for (char32_t c = 0; c <= 0x3000; ++c)
    if (isWhitespace(c))
      all[c] = CharClass::Space;
  // Equal pages are stored once; there are fewer than 256 different ones.
  std::map<std::vector<CharClass>, size_t> numbers;
  for (size_t page = 0; page < all.size(); page += 256) {
    const auto [found, isNew] = numbers.try_emplace(
        std::vector(all.begin() + page, all.begin() + page + 256),
        numbers.size());
    if (isNew)
      pages.insert(pages.end(), found->first.begin(), found->first.end());
    pageOf.push_back(uint8_t(found->second));
  }
}

const CharClasses &CharClasses::get() {
  static const CharClasses classes;
  return classes;
}

bool isWord(char32_t c) {
  switch (CharClasses::get()[c]) {
  case CharClass::Letter:
  case CharClass::Mark:
  case CharClass::DecimalNumber:
  case CharClass::LetterNumber:
  case CharClass::Connector:
    return true;
  default:
    // Join controls, and the symbols that count as alphabetic.
    return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) ||
           (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
           (c >= 0x1f170 && c <= 0x1f189);
  }
}

bool isNumeric(char32_t c) {
  const CharClass value = CharClasses::get()[c];
  const bool number =
      value >= CharClass::DecimalNumber && value <= CharClass::OtherNumber;
  return number != contains(numericDifferences, c);
}

bool isPunctuation(char32_t c) {
  if (c < 0x80)
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') ||
           (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
  const CharClass value = CharClasses::get()[c];
  return (value >= CharClass::Connector) != contains(punctuationDifferences, c);
}

bool isAccent(char32_t c) {
  return (CharClasses::get()[c] == CharClass::Mark) !=
         contains(accentDifferences, c);
}

void appendLowercase(std::string &out, char32_t c) {
  // What Unicode 16 and 17 added, and the one character that becomes two.
  constexpr struct {
    char32_t first, last;
    int32_t distance;
  } newer[] = {{0x1c89, 0x1c89, 1},      {0xa7cb, 0xa7cb, 0x264 - 0xa7cb},
               {0xa7cc, 0xa7cc, 1},      {0xa7ce, 0xa7ce, 1},
               {0xa7d2, 0xa7d2, 1},      {0xa7d4, 0xa7d4, 1},
               {0xa7da, 0xa7da, 1},      {0xa7dc, 0xa7dc, 0x19b - 0xa7dc},
               {0x10d50, 0x10d65, 0x20}, {0x16ea0, 0x16eb8, 0x1b}};
  if (c == 0x130) {
    out += "i\xcc\x87";
    return;
  }
  for (const auto &range : newer)
    if (c >= range.first && c <= range.last)
      return appendUtf8(out, c + range.distance);
  appendUtf8(out, char32_t(utf8proc_tolower(utf8proc_int32_t(c))));
}

void normalize(std::string &text, NormalForm form) {
  // ASCII is in every normal form already.
  if (std::all_of(text.begin(), text.end(), [](char c) { return c >= 0; }))
    return;
  int options = UTF8PROC_STABLE;
  options |= form == NormalForm::C || form == NormalForm::KC
                 ? UTF8PROC_COMPOSE
                 : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::KC || form == NormalForm::KD)
    options |= UTF8PROC_COMPAT;
  std::string out;
  const auto appendNormalized = [&](std::string_view part) {
    if (part.empty())
      return;
    utf8proc_uint8_t *result = nullptr;
    const utf8proc_ssize_t length = utf8proc_map(
        reinterpret_cast<const utf8proc_uint8_t *>(part.data()),
        utf8proc_ssize_t(part.size()), &result, utf8proc_option_t(options));
    if (length < 0) // valid text: only memory can be missing
      throw std::bad_alloc();
    out.append(reinterpret_cast<const char *>(result), size_t(length));
    std::free(result);
  };
  // Characters too new for Unicode 9 neither change nor combine.
  size_t done = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = codePointAt(text.data() + i);
    if (c.value >= 0x2ff && contains(unknownToNormalForms, c.value)) {
      appendNormalized(std::string_view(text).substr(done, i - done));
      out.append(text, i, c.length);
      done = i + c.length;
    }
    i += c.length;
  }
  appendNormalized(std::string_view(text).substr(done));
  text = std::move(out);
}

std::string newMembers(std::string_view name) {
  std::string members;
  char range[48];
  for (const CategoryRange &r : newCategories)
    if (std::string_view(r.category).starts_with(name)) {
      std::snprintf(range, sizeof range, "\\x{%x}-\\x{%x}", unsigned(r.first),
                    unsigned(r.last));
      members += range;
    }
  return members;
}

} // namespace fairy2::tokenizer
