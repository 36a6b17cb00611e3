// SPDX-License-Identifier: Apache-2.0
//
// Reading, numbering and finding added tokens.
#include "runtime/text/tokenizer/AddedTokens.h"

#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "runtime/support/Words.h"
#include "runtime/text/tokenizer/Unicode.h"

#include <algorithm>
#include <tuple>

namespace fairy2::tokenizer {
namespace {

/// Bounds the work per byte of text.
constexpr size_t longestContent = 4096;

bool endsWithWord(std::string_view text) {
  return !text.empty() &&
         isWord(codePointBefore(text.data() + text.size()).value);
}
bool startsWithWord(std::string_view text) {
  return !text.empty() && isWord(codePointAt(text.data()).value);
}

/// `tokenizers` ignores the file's id and numbers the tokens itself; where the
/// two differ nobody can know which one the model was trained with. Throws
/// Error.
void requireId(const JsonField &element, const AddedToken &token,
               int64_t expected, const char *why) {
  if (token.id == expected)
    return;
  const std::string sentence = "expected " + std::to_string(expected) +
                               " for " + quoteName(token.content, '"') + ", " +
                               why + ", found " + std::to_string(token.id);
  if (const JsonField origin = element["origin"]; !origin.isNull())
    throw Error(origin.string() + ": " + sentence);
  element["id"].refuse(sentence);
}

} // namespace

AddedTokens::AddedTokens(const JsonField &root, const Vocabulary &pieces,
                         const Normalizer *normalizer) {
  std::vector<JsonField> elements;
  for (const char *name : {"added_tokens", "companion_tokens"})
    if (const JsonField list = root[name]; !list.isNull())
      for (JsonField &element : list.elements())
        elements.push_back(std::move(element));
  tokens.reserve(elements.size()); // byContent points into them
  int64_t nextId = pieces.size();
  for (const JsonField &element : elements) {
    element.requireKeys({"id", "content", "single_word", "lstrip", "rstrip",
                         "normalized", "special", "origin"});
    AddedToken token;
    token.content = element["content"].string();
    if (token.content.empty())
      element["content"].refuse("expected a string that is not empty");
    if (token.content.size() > longestContent)
      element["content"].refuse(
          "expected at most " + std::to_string(longestContent) +
          " bytes, found " + std::to_string(token.content.size()));
    token.singleWord = element["single_word"].boolean();
    token.leftStrip = element["lstrip"].boolean();
    token.rightStrip = element["rstrip"].boolean();
    token.normalized = element["normalized"].boolean();
    token.special = element["special"].boolean();
    token.id = int32_t(element["id"].integer(0, idLimit - 1));
    if (const AddedToken *earlier = find(token.content))
      requireId(element, token, earlier->id, "its id in an earlier entry");
    else if (const int32_t id = pieces.find(token.content); id >= 0)
      requireId(element, token, id, "its id in model.vocab");
    else
      requireId(element, token, nextId++, "the next id after the vocabulary");
    token.text = token.content;
    if (token.normalized && normalizer)
      normalizer->apply(token.text);
    add(std::move(token));
  }
  std::vector<ByteTrie::Entry> entries[2];
  for (size_t i = 0; i < tokens.size(); ++i) {
    const AddedToken &token = tokens[i];
    const std::string &found = token.normalized ? token.text : token.content;
    if (!found.empty())
      entries[token.normalized].push_back({found, int32_t(i)});
    normalizedSpecial |= token.normalized && token.special;
  }
  for (int normalized : {0, 1})
    tries[normalized] = ByteTrie(std::move(entries[normalized]));
}

/// Adds a token, or changes the one of this content as `tokenizers` does: the
/// last one counts, but special stays special, and the text that was normalized
/// stays what the token is decoded to.
void AddedTokens::add(AddedToken token) {
  const auto found = byContent.find(token.content);
  if (found == byContent.end()) {
    tokens.push_back(std::move(token));
    byContent.emplace(tokens.back().content, tokens.size() - 1);
    byId.emplace(tokens.back().id, tokens.size() - 1);
    return;
  }
  AddedToken &earlier = tokens[found->second];
  if (token.text != token.content)
    earlier.text = std::move(token.text);
  earlier.singleWord = token.singleWord;
  earlier.leftStrip = token.leftStrip;
  earlier.rightStrip = token.rightStrip;
  earlier.normalized = token.normalized;
  earlier.special |= token.special;
}

const AddedToken *AddedTokens::find(std::string_view content) const {
  const auto found = byContent.find(content);
  return found == byContent.end() ? nullptr : &tokens[found->second];
}

const AddedToken *AddedTokens::find(int32_t id) const {
  const auto found = byId.find(id);
  return found == byId.end() ? nullptr : &tokens[found->second];
}

void AddedTokens::split(std::string_view text, bool normalized,
                        std::span<const ByteRange> untrusted,
                        std::vector<Segment> &segments) const {
  const ByteTrie &trie = tries[normalized];
  size_t covered = 0, endOfSpaces = 0;
  for (size_t at = 0; at < text.size() && !trie.empty();) {
    if (!trie.mayStart(text[at])) {
      ++at;
      continue;
    }
    auto [index, length] = trie.longest(text.substr(at));
    if (length == 0) {
      ++at;
      continue;
    }
    while (!untrusted.empty() && untrusted.front().end <= at)
      untrusted = untrusted.subspan(1);
    if (tokens[size_t(index)].special && !untrusted.empty() &&
        untrusted.front().begin < at + length) {
      // Only what is trusted as a whole counts here.
      const size_t trusted = std::max(untrusted.front().begin, at) - at;
      const size_t rejectedEnd = std::min(at + length, untrusted.front().end);
      std::tie(index, length) = trie.longest(text.substr(at, trusted));
      if (length == 0) {
        at = rejectedEnd;
        continue;
      }
    }
    const AddedToken &token = tokens[size_t(index)];
    size_t begin = at, end = at + length;
    at = end;
    if (token.singleWord && (endsWithWord(text.substr(0, begin)) ||
                             startsWithWord(text.substr(end))))
      continue;
    // Whitespace that an earlier token took is not taken again.
    while (token.leftStrip && begin > covered) {
      const CodePoint c = codePointBefore(text.data() + begin);
      if (!isWhitespace(c.value))
        break;
      begin -= c.length;
    }
    if (token.rightStrip) {
      // A run of whitespace is walked once, however many tokens are in it.
      endOfSpaces = std::max(endOfSpaces, end);
      while (endOfSpaces < text.size()) {
        const CodePoint c = codePointAt(text.data() + endOfSpaces);
        if (!isWhitespace(c.value))
          break;
        endOfSpaces += c.length;
      }
      end = endOfSpaces;
    }
    if (covered < begin)
      segments.push_back({text.substr(covered, begin - covered), -1});
    segments.push_back({text.substr(begin, end - begin), token.id});
    covered = end;
  }
  if (covered < text.size())
    segments.push_back({text.substr(covered), -1});
}

} // namespace fairy2::tokenizer
