// SPDX-License-Identifier: Apache-2.0
#include "runtime/support/Words.h"

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

std::string joined(const std::vector<std::string> &words) {
  std::string text;
  for (const std::string &word : words)
    text += (text.empty() ? "" : ", ") + word;
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
