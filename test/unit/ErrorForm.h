// SPDX-License-Identifier: Apache-2.0
//
// The form that every error for a user has: PLACE: .. in one lower-case
// sentence. errorOf() asks it of every error that the tests' tables of bad
// input reach; test/tools/error_form.py asks the same of the programs.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstring>
#include <string>
#include <string_view>

namespace fairy2 {

/// Whether a system call's own words end the sentence.
inline bool isSystemError(std::string_view text) {
  for (int number = 1; number < 134; ++number)
    if (text.starts_with(std::strerror(number)))
      return true;
  return false;
}

/// Whether the first word may begin with a capital letter: a name is one that
/// has others, digits or signs in it.
inline bool isName(std::string_view text) {
  const std::string_view word = text.substr(0, text.find_first_of(" ,;:"));
  return std::any_of(word.begin() + 1, word.end(),
                     [](unsigned char c) { return !std::islower(c); });
}

/// What an error's form lacks, or "".
inline std::string formFault(std::string_view text) {
  for (const char *trace : {"\n", "std::", "bad_alloc", "terminate", "what()",
                            "Stack dump", "basic_string", ".cpp:", "0x0000"})
    if (text.find(trace) != text.npos)
      return std::string("holds '") + trace + "'";
  // Two dots stand for the rest of a long value.
  const bool isCut = text.ends_with("..");
  if (text.empty() || (text.ends_with('.') && !isCut) || text.ends_with(' ') ||
      text.ends_with(':'))
    return "has an end that is none of a sentence's";
  const size_t first = text.find(": ");
  if (first == text.npos || first == 0)
    return "names no place before a colon";
  for (size_t at = first; at != text.npos; at = text.find(": ", at + 2)) {
    const std::string_view rest = text.substr(at + 2);
    if (rest.empty() || rest.front() == ' ')
      return "has a gap after a colon";
    if (std::isupper((unsigned char)rest.front()) && !isName(rest) &&
        !isSystemError(rest))
      return "goes on in capitals at '" + std::string(rest) + "'";
  }
  return "";
}

} // namespace fairy2
