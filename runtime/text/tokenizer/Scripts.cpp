// SPDX-License-Identifier: Apache-2.0
//
// PCRE2 reads \p{Han} as Script_Extensions, with the punctuation that Chinese
// shares with other scripts, Oniguruma as Script; and the version of Unicode
// differs. So the tables are those of `tokenizers`.
#include "runtime/text/tokenizer/Scripts.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>

namespace fairy2::tokenizer {
namespace {

struct ScriptName {
  std::string_view name;
  uint8_t script;
};
struct ScriptRange {
  char32_t first, last;
  uint8_t script;
};

#include "runtime/text/tokenizer/ScriptTables.inc"

void appendRange(std::string &members, char32_t first, char32_t last) {
  if (first > last)
    return;
  char range[32];
  std::snprintf(range, sizeof range, "\\x{%x}-\\x{%x}", unsigned(first),
                unsigned(last));
  members += range;
}

} // namespace

std::string plainPropertyName(std::string_view name) {
  std::string plain;
  for (const char c : name)
    if (c != ' ' && c != '-' && c != '_')
      plain += c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return plain;
}

std::optional<std::string> scriptMembers(std::string_view name, bool negated) {
  const bool isUnknown = name == "unknown" || name == "zzzz";
  const auto *found =
      std::find_if(std::begin(scriptNames), std::end(scriptNames),
                   [&](const ScriptName &entry) { return entry.name == name; });
  if (!isUnknown && found == std::end(scriptNames))
    return std::nullopt;
  // The script Unknown is what no range has.
  const bool wantsGaps = isUnknown != negated;
  std::string members;
  char32_t next = 0; // the first character after the ranges so far
  for (const ScriptRange &range : scriptRanges) {
    if (!isUnknown && range.script != found->script)
      continue;
    if (!wantsGaps)
      appendRange(members, range.first, range.last);
    else if (range.first > next)
      appendRange(members, next, range.first - 1);
    next = range.last + 1;
  }
  if (wantsGaps)
    appendRange(members, next, 0x10ffff);
  return members;
}

} // namespace fairy2::tokenizer
