// SPDX-License-Identifier: Apache-2.0
//
// Literals, character classes, and the ways to merge matches with the text
// between them. Regular expressions are in Regex.cpp.
#include "runtime/text/tokenizer/Pattern.h"

#include "runtime/support/Utf8.h"

#include <algorithm>

namespace fairy2::tokenizer {
namespace {

class Literal final : public Pattern {
public:
  explicit Literal(std::string literal) : literal(std::move(literal)) {}

  void split(std::string_view text, std::vector<Span> &spans) const override {
    size_t end = 0;
    for (size_t at; (at = text.find(literal, end)) != text.npos;) {
      if (at != end)
        spans.push_back({end, at, false});
      end = at + literal.size();
      spans.push_back({at, end, true});
    }
    if (end != text.size())
      spans.push_back({end, text.size(), false});
  }
  size_t literalSize() const override { return literal.size(); }

private:
  std::string literal;
};

class CharacterClass final : public Pattern {
public:
  explicit CharacterClass(bool (*contains)(char32_t)) : contains(contains) {}

  void split(std::string_view text, std::vector<Span> &spans) const override {
    size_t end = 0;
    for (size_t i = 0; i < text.size();) {
      const CodePoint c = codePointAt(text.data() + i);
      if (contains(c.value)) {
        if (i != end)
          spans.push_back({end, i, false});
        end = i + c.length;
        spans.push_back({i, end, true});
      }
      i += c.length;
    }
    if (end != text.size())
      spans.push_back({end, text.size(), false});
  }

private:
  bool (*contains)(char32_t);
};

} // namespace

std::unique_ptr<Pattern> makeLiteral(std::string literal) {
  return std::make_unique<Literal>(std::move(literal));
}

std::unique_ptr<Pattern> makeCharacterClass(bool (*contains)(char32_t)) {
  return std::make_unique<CharacterClass>(contains);
}

std::unique_ptr<Pattern> readPattern(const JsonField &field) {
  field.requireKeys({"String", "Regex"});
  const JsonField literal = field["String"], regex = field["Regex"];
  if (literal.isNull() == regex.isNull())
    field.refuse("expected either \"String\" or \"Regex\"");
  if (!regex.isNull())
    return makeRegex(regex);
  std::string text = literal.string();
  if (text.empty())
    literal.fail("a string that is not empty");
  return makeLiteral(std::move(text));
}

void mergeSpans(std::vector<Span> &spans, SplitBehavior behavior) {
  switch (behavior) {
  case SplitBehavior::Isolated:
    break;
  case SplitBehavior::Removed:
    std::erase_if(spans, [](const Span &s) { return s.matches; });
    break;
  case SplitBehavior::Contiguous:
  case SplitBehavior::MergedWithPrevious: {
    // Contiguous joins neighbours of one kind; the other a match with what is
    // before it, unless that is a match too.
    bool previous = false;
    size_t count = 0;
    for (const Span &s : spans) {
      const bool join = behavior == SplitBehavior::Contiguous
                            ? s.matches == previous
                            : s.matches && !previous;
      previous = s.matches;
      if (join && count)
        spans[count - 1].end = s.end;
      else
        spans[count++] = s;
    }
    spans.resize(count);
    break;
  }
  case SplitBehavior::MergedWithNext: {
    bool next = false;
    size_t first = spans.size();
    for (size_t i = spans.size(); i-- > 0;) {
      const Span s = spans[i];
      if (s.matches && !next && first != spans.size())
        spans[first].begin = s.begin;
      else
        spans[--first] = s;
      next = s.matches;
    }
    spans.erase(spans.begin(), spans.begin() + first);
    break;
  }
  }
  std::erase_if(spans, [](const Span &s) { return s.begin == s.end; });
}

} // namespace fairy2::tokenizer
