// SPDX-License-Identifier: Apache-2.0
//
// One small class per type of pre-tokenizer, and the table that reads them.
#include "runtime/text/tokenizer/PreTokenizer.h"

#include "runtime/support/Utf8.h"
#include "runtime/text/tokenizer/ByteLevel.h"
#include "runtime/text/tokenizer/KnownPatterns.h"
#include "runtime/text/tokenizer/Steps.h"
#include "runtime/text/tokenizer/Unicode.h"

namespace fairy2::tokenizer {

void Pieces::split(const Pattern &pattern, SplitBehavior behavior,
                   bool invert) {
  std::vector<Span> result;
  const size_t start = spans.empty() ? 0 : spans.front().begin;
  for (const Span &piece : spans) {
    // The usual case, one piece, needs no second list.
    std::vector<Span> &parts = spans.size() == 1 ? result : scratch;
    parts.clear();
    pattern.split(text.substr(piece.begin, piece.end - piece.begin), parts);
    if (invert)
      for (Span &part : parts)
        part.matches = !part.matches;
    mergeSpans(parts, behavior);
    for (Span &part : parts) {
      part.begin += piece.begin;
      part.end += piece.begin;
    }
    if (&parts != &result)
      result.insert(result.end(), parts.begin(), parts.end());
  }
  spans = std::move(result);
  startsInput = startsInput && !spans.empty() && spans.front().begin == start;
}

namespace {

/// Splits by one pattern.
class Split final : public PreTokenizer {
public:
  Split(std::unique_ptr<Pattern> pattern, SplitBehavior behavior,
        bool invert = false)
      : pattern(std::move(pattern)), behavior(behavior), invert(invert) {}
  void apply(Pieces &pieces) const override {
    pieces.split(*pattern, behavior, invert);
  }

private:
  std::unique_ptr<Pattern> pattern;
  SplitBehavior behavior;
  bool invert;
};

class ByteLevel final : public PreTokenizer {
public:
  explicit ByteLevel(const JsonField &field) {
    field.requireKeys(
        {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    addPrefixSpace = field["add_prefix_space"].boolean();
    if (field["use_regex"].boolean(true))
      pattern = makeKnownPattern(gpt2Regex);
  }
  bool endsInBytes() const override { return true; }
  void applyToBytes(Pieces &pieces) const override {
    if (addPrefixSpace)
      pieces.rewrite([](size_t, std::string_view piece, std::string &out) {
        if (!piece.starts_with(' '))
          out += ' ';
        out += piece;
      });
    if (pattern)
      pieces.split(*pattern, SplitBehavior::Isolated);
  }
  void apply(Pieces &pieces) const override {
    applyToBytes(pieces);
    pieces.rewrite([](size_t, std::string_view piece, std::string &out) {
      appendByteCharacters(out, piece);
    });
  }
  double growth() const override { return addPrefixSpace ? 4 : 2; }

private:
  bool addPrefixSpace;
  std::unique_ptr<Pattern> pattern;
};

class Metaspace final : public PreTokenizer {
public:
  explicit Metaspace(const JsonField &field) {
    field.requireKeys({"type", "replacement", "add_prefix_space",
                       "prepend_scheme", "split", "str_rep"});
    appendUtf8(replacement, field["replacement"].character());
    const JsonField name = field["prepend_scheme"];
    const std::string text = name.isNull() ? "always" : name.string();
    scheme = text == "always"  ? Scheme::Always
             : text == "first" ? Scheme::First
             : text == "never" ? Scheme::Never
                               : throwScheme(name);
    if (!field["add_prefix_space"].boolean(true)) {
      if (!name.isNull() && scheme != Scheme::Never)
        name.fail("\"never\", since add_prefix_space is false");
      scheme = Scheme::Never;
    }
    if (field["split"].boolean(true))
      pattern = makeLiteral(replacement);
  }
  void apply(Pieces &pieces) const override {
    pieces.rewrite([&](size_t i, std::string_view piece, std::string &out) {
      if ((scheme == Scheme::Always ||
           (scheme == Scheme::First && pieces.startsInputAt(i))) &&
          !piece.starts_with(replacement) && !piece.starts_with(' '))
        out += replacement;
      for (char c : piece)
        if (c == ' ')
          out += replacement;
        else
          out += c;
    });
    if (pattern)
      pieces.split(*pattern, SplitBehavior::MergedWithNext);
  }
  /// A piece of one byte may become two replacements.
  double growth() const override { return 2 * double(replacement.size()); }

private:
  enum class Scheme { Always, First, Never };
  [[noreturn]] static Scheme throwScheme(const JsonField &name) {
    name.fail("\"always\", \"first\" or \"never\"");
  }
  std::string replacement;
  Scheme scheme;
  std::unique_ptr<Pattern> pattern;
};

std::unique_ptr<PreTokenizer> readAny(const JsonField &field);

class Sequence final : public StepSequence<PreTokenizer> {
public:
  explicit Sequence(const JsonField &field)
      : StepSequence(field, "pretokenizers", readAny) {}
  bool endsInBytes() const override {
    return !steps.empty() && steps.back()->endsInBytes();
  }
  void apply(Pieces &pieces) const override {
    for (const auto &step : steps)
      step->apply(pieces);
  }
  void applyToBytes(Pieces &pieces) const override {
    for (size_t i = 0; i + 1 < steps.size(); ++i)
      steps[i]->apply(pieces);
    if (!steps.empty())
      steps.back()->applyToBytes(pieces);
  }
};

/// Splits at whitespace, then what is left at characters of a kind.
template <bool (*isKind)(char32_t), SplitBehavior behavior>
class WhitespaceThen final : public PreTokenizer {
public:
  void apply(Pieces &pieces) const override {
    pieces.split(*whitespace, SplitBehavior::Removed);
    pieces.split(*kind, behavior);
  }

private:
  std::unique_ptr<Pattern> whitespace = makeCharacterClass(isWhitespace);
  std::unique_ptr<Pattern> kind = makeCharacterClass(isKind);
};
using Bert = WhitespaceThen<isPunctuation, SplitBehavior::Isolated>;
/// Runs of \w and runs of what is neither \w nor whitespace: \w+|[^\w\s]+
using Words = WhitespaceThen<isWord, SplitBehavior::Contiguous>;

SplitBehavior readBehavior(const JsonField &field) {
  constexpr std::pair<std::string_view, SplitBehavior> behaviors[] = {
      {"Removed", SplitBehavior::Removed},
      {"Isolated", SplitBehavior::Isolated},
      {"MergedWithPrevious", SplitBehavior::MergedWithPrevious},
      {"MergedWithNext", SplitBehavior::MergedWithNext},
      {"Contiguous", SplitBehavior::Contiguous}};
  const std::string name = field.string();
  for (const auto &[known, behavior] : behaviors)
    if (name == known)
      return behavior;
  field.fail("\"Removed\", \"Isolated\", \"MergedWithPrevious\", "
             "\"MergedWithNext\" or \"Contiguous\"");
}

std::unique_ptr<PreTokenizer> readSplit(const JsonField &field) {
  field.requireKeys({"type", "pattern", "behavior", "invert"});
  std::unique_ptr<Pattern> pattern;
  if (const JsonField regex = field["pattern"]["Regex"]; regex.isString())
    pattern = makeKnownPattern(regex.string());
  if (!pattern)
    pattern = readPattern(field["pattern"]);
  return std::make_unique<Split>(std::move(pattern),
                                 readBehavior(field["behavior"]),
                                 field["invert"].boolean(false));
}

std::unique_ptr<PreTokenizer> readDigits(const JsonField &field) {
  field.requireKeys({"type", "individual_digits"});
  return std::make_unique<Split>(makeCharacterClass(isNumeric),
                                 field["individual_digits"].boolean()
                                     ? SplitBehavior::Isolated
                                     : SplitBehavior::Contiguous);
}

std::unique_ptr<PreTokenizer> readPunctuation(const JsonField &field) {
  field.requireKeys({"type", "behavior"});
  const JsonField behavior = field["behavior"];
  return std::make_unique<Split>(makeCharacterClass(isPunctuation),
                                 behavior.isNull() ? SplitBehavior::Isolated
                                                   : readBehavior(behavior));
}

std::unique_ptr<PreTokenizer> readDelimiter(const JsonField &field) {
  field.requireKeys({"type", "delimiter"});
  std::string delimiter;
  appendUtf8(delimiter, field["delimiter"].character());
  return std::make_unique<Split>(makeLiteral(std::move(delimiter)),
                                 SplitBehavior::Removed);
}

std::unique_ptr<PreTokenizer> readWhitespace(const JsonField &field) {
  field.requireKeys({"type"});
  return std::make_unique<Split>(makeCharacterClass(isWhitespace),
                                 SplitBehavior::Removed);
}

std::unique_ptr<PreTokenizer> readAny(const JsonField &field) {
  using Type = StepType<PreTokenizer>;
  static const Type types[] = {Type::of<Sequence>("Sequence"),
                               Type::of<ByteLevel>("ByteLevel"),
                               Type::of<Metaspace>("Metaspace"),
                               {"Split", readSplit},
                               {"Digits", readDigits},
                               {"Punctuation", readPunctuation},
                               {"CharDelimiterSplit", readDelimiter},
                               {"WhitespaceSplit", readWhitespace},
                               Type::plain<Words>("Whitespace"),
                               Type::plain<Bert>("BertPreTokenizer")};
  return readStep(field, "pre-tokenizer", types);
}

} // namespace

std::unique_ptr<PreTokenizer> readPreTokenizer(const JsonField &field) {
  return field.isNull() ? nullptr : requireModestGrowth(field, readAny(field));
}

} // namespace fairy2::tokenizer
