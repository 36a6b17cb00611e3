// SPDX-License-Identifier: Apache-2.0
//
// Texts that end up in error messages are short and cannot steer a terminal.
#include "runtime/support/Words.h"

#include "runtime/support/Utf8.h"
#include "runtime/support/VisibleText.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <numeric>

namespace fairy2 {
namespace {

/// Levenshtein distance.
size_t distance(const std::string &a, const std::string &b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t(0));
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

} // namespace

std::string quoteName(std::string_view text, char quote) {
  constexpr size_t kLongest = 80;
  size_t end = std::min(text.size(), kLongest);
  while (end < text.size() && isContinuation(text[end]))
    ++end; // not in the middle of a character
  // dump() escapes controls, replaces broken UTF-8 and adds double quotes.
  const std::string escaped =
      nlohmann::json(std::string(text.substr(0, end)))
          .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return quote + visibleText(escaped.substr(1, escaped.size() - 2)) +
         (end < text.size() ? ".." : "") + quote;
}

std::string joined(const std::vector<std::string> &words) {
  std::string text;
  for (size_t i = 0; i < words.size(); ++i)
    text += (i ? ", " : "") + words[i];
  return text;
}

std::string shellWord(const std::string &text) {
  const auto isPlain = [](unsigned char c) {
    return c >= 128 || std::isalnum(c) || std::strchr("_-./,:=@%+", c);
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), isPlain))
    return text;
  std::string word = "'";
  for (const char c : text)
    word += c == '\'' ? "'\\''" : std::string(1, c);
  return word + "'";
}

std::string didYouMean(const std::string &word,
                       const std::vector<std::string> &names) {
  const std::string *nearest = nullptr;
  size_t best = word.size() / 2 + 2;
  for (const std::string &name : names)
    if (const size_t d = distance(word, name); d < best) {
      best = d;
      nearest = &name;
    }
  return nearest ? "; did you mean '" + *nearest + "'?" : "";
}

} // namespace fairy2
