// SPDX-License-Identifier: Apache-2.0
//
// The patterns by which GPT-2 and the families of Llama 3 and Qwen split text,
// by hand: linear, and many times faster than a regular expression engine.
// Chosen by the exact text of the pattern and tested equal to the engine.
#include "runtime/text/tokenizer/KnownPatterns.h"

#include "runtime/support/Utf8.h"
#include "runtime/text/tokenizer/Unicode.h"

#include <limits>

namespace fairy2::tokenizer {
namespace {

enum Kind : uint8_t { Other, Space, Letter, Number, End };

/// Walks over text, one character at a time.
class Scanner {
public:
  explicit Scanner(std::string_view text) : text(text) {
    for (int c = 0; c < 128; ++c)
      ascii[c] = kindOf(classes[char32_t(c)]);
  }

  struct Character {
    Kind kind;
    uint8_t length;
  };
  /// The character at `at`; kind End and length 0 past the last.
  Character at(size_t at) const {
    if (at >= text.size())
      return {End, 0};
    const auto byte = uint8_t(text[at]);
    if (byte < 0x80)
      return {ascii[byte], 1};
    const CodePoint c = codePointAt(text.data() + at);
    return {kindOf(classes[c.value]), uint8_t(c.length)};
  }
  /// The end of the run of characters of one kind that starts at `at`.
  size_t endOfRun(size_t at, Kind kind,
                  size_t most = std::numeric_limits<size_t>::max()) const {
    for (Character c; most-- && (c = this->at(at)).kind == kind;)
      at += c.length;
    return at;
  }
  bool isNewline(size_t at) const {
    return at < text.size() && (text[at] == '\n' || text[at] == '\r');
  }
  std::string_view from(size_t at) const { return text.substr(at); }
  size_t size() const { return text.size(); }

private:
  static Kind kindOf(CharClass value) {
    switch (value) {
    case CharClass::Space:
      return Space;
    case CharClass::Letter:
      return Letter;
    case CharClass::DecimalNumber:
    case CharClass::LetterNumber:
    case CharClass::OtherNumber:
      return Number;
    default:
      return Other;
    }
  }
  std::string_view text;
  const CharClasses &classes = CharClasses::get();
  Kind ascii[128];
};

/// Length of an English contraction at the front of `text`, or 0. Without case
/// U+017F, the long s, is an s.
size_t contraction(std::string_view text, bool ignoreCase) {
  if (text.size() < 2 || text[0] != '\'')
    return 0;
  const auto letter = [&](size_t i) -> char {
    if (i >= text.size())
      return 0;
    const char c = text[i];
    return ignoreCase && c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  };
  const char first = letter(1), second = letter(2);
  if (first == 's' || first == 't' || first == 'm' || first == 'd')
    return 2;
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
      (first == 'l' && second == 'l'))
    return 3;
  if (ignoreCase && text.substr(1).starts_with("\xc5\xbf"))
    return 3;
  return 0;
}

/// \s+(?!\S)|\s+ at a run of whitespace [begin, end): leaves the last character
/// to the word that follows, if it is not the only one.
size_t endOfSpaces(const Scanner &scan, size_t begin, size_t end) {
  if (end == scan.size())
    return end;
  const size_t last = end - codePointBefore(scan.from(0).data() + end).length;
  return last > begin ? last : end;
}

/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
class Gpt2Pattern final : public Pattern {
public:
  void split(std::string_view text, std::vector<Span> &spans) const override {
    const Scanner scan(text);
    for (size_t at = 0; at < text.size();) {
      size_t end = at + contraction(scan.from(at), false);
      if (end == at) {
        const Scanner::Character first = scan.at(at);
        const Scanner::Character word =
            text[at] == ' ' ? scan.at(at + 1) : first;
        if (word.kind != Space && word.kind != End)
          end = scan.endOfRun(at + first.length, word.kind);
        else
          end = endOfSpaces(scan, at, scan.endOfRun(at, Space));
      }
      spans.push_back({at, end, true});
      at = end;
    }
  }
};

/// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}|
///  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
class Cl100kPattern final : public Pattern {
public:
  explicit Cl100kPattern(size_t digits) : digits(digits) {}

  void split(std::string_view text, std::vector<Span> &spans) const override {
    const Scanner scan(text);
    for (size_t at = 0; at < text.size();) {
      const size_t end = endOfMatch(scan, text, at);
      spans.push_back({at, end, true});
      at = end;
    }
  }

private:
  size_t endOfMatch(const Scanner &scan, std::string_view text,
                    size_t at) const {
    if (const size_t length = contraction(scan.from(at), true))
      return at + length;
    const Scanner::Character first = scan.at(at);
    const size_t next = at + first.length;
    if (first.kind == Letter)
      return scan.endOfRun(next, Letter);
    if (first.kind == Number)
      return scan.endOfRun(at, Number, digits);
    const Scanner::Character second = scan.at(next);
    if (second.kind == Letter && !scan.isNewline(at))
      return scan.endOfRun(next, Letter);
    if (first.kind == Other || (text[at] == ' ' && second.kind == Other)) {
      size_t end = scan.endOfRun(next, Other);
      while (scan.isNewline(end))
        ++end;
      return end;
    }
    // A run of whitespace up to its last newline, if it has one.
    const size_t end = scan.endOfRun(at, Space);
    for (size_t i = end; i > at; --i)
      if (scan.isNewline(i - 1))
        return i;
    return endOfSpaces(scan, at, end);
  }
  size_t digits;
};

} // namespace

std::unique_ptr<Pattern> makeKnownPattern(std::string_view regex) {
  if (regex == gpt2Regex)
    return std::make_unique<Gpt2Pattern>();
  if (regex == llama3Regex)
    return std::make_unique<Cl100kPattern>(3);
  if (regex == qwen2Regex)
    return std::make_unique<Cl100kPattern>(1);
  return nullptr;
}

} // namespace fairy2::tokenizer
