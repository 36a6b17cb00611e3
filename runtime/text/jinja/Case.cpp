// SPDX-License-Identifier: Apache-2.0
//
// Mappings to one character come from utf8proc, the others from a table.
#include "runtime/text/jinja/Case.h"

#include <algorithm>
#include <iterator>
#include <span>

#include <utf8proc.h>

namespace fairy2::jinja {
namespace {

struct CaseMapping {
  char32_t from, to[3]; ///< what is left of `to` is 0
};
struct Range {
  char32_t first, last;
};
#include "runtime/text/jinja/CaseTables.inc"

bool contains(std::span<const Range> ranges, char32_t c) {
  const auto range = std::partition_point(
      ranges.begin(), ranges.end(),
      [&](const Range &candidate) { return candidate.last < valueOf(c); });
  return range != ranges.end() && range->first <= valueOf(c);
}

bool isCased(char32_t c) { return contains(cased, c); }

using SimpleMapping = utf8proc_int32_t (*)(utf8proc_int32_t);

void append(Text &text, char32_t c, std::span<const CaseMapping> mappings,
            SimpleMapping simple) {
  const char32_t value = valueOf(c), mark = c & kUntrusted;
  const auto mapping =
      std::lower_bound(mappings.begin(), mappings.end(), value,
                       [](const CaseMapping &candidate, char32_t wanted) {
                         return candidate.from < wanted;
                       });
  if (mapping == mappings.end() || mapping->from != value) {
    text += char32_t(simple(utf8proc_int32_t(value))) | mark;
    return;
  }
  for (const char32_t to : mapping->to)
    if (to)
      text += to | mark;
}

void appendTitle(Text &text, char32_t c) {
  append(text, c, titleMappings, utf8proc_totitle);
}

/// Whether the next of [begin, end) that the rule looks at has a case.
template <typename It> bool meetsCased(It begin, It end) {
  const auto next = std::find_if(
      begin, end, [](char32_t c) { return !contains(ignored, c); });
  return next != end && isCased(*next);
}

void appendLower(Text &result, TextView text, size_t at) {
  constexpr char32_t kSigma = 0x3a3, kFinalSigma = 0x3c2, kDottedI = 0x130;
  const char32_t c = text[at], mark = c & kUntrusted;
  const auto before = text.substr(0, at), after = text.substr(at + 1);
  if (valueOf(c) == kSigma && meetsCased(before.rbegin(), before.rend()) &&
      !meetsCased(after.begin(), after.end()))
    result += kFinalSigma | mark;
  else if (valueOf(c) == kDottedI)
    result += {char32_t('i' | mark), char32_t(0x307 | mark)};
  else
    append(result, c, {}, utf8proc_tolower);
}

} // namespace

Text upper(TextView text) {
  Text result;
  for (const char32_t c : text)
    append(result, c, upperMappings, utf8proc_toupper);
  return result;
}

Text lower(TextView text) {
  Text result;
  for (size_t at = 0; at < text.size(); ++at)
    appendLower(result, text, at);
  return result;
}

Text capitalize(TextView text) {
  Text result;
  for (size_t at = 0; at < text.size(); ++at)
    if (at == 0)
      appendTitle(result, text[at]);
    else
      appendLower(result, text, at);
  return result;
}

Text title(TextView text) {
  Text result;
  for (size_t at = 0; at < text.size(); ++at)
    if (at > 0 && isCased(text[at - 1]))
      appendLower(result, text, at);
    else
      appendTitle(result, text[at]);
  return result;
}

} // namespace fairy2::jinja
