// SPDX-License-Identifier: Apache-2.0
//
// One small class per type of normalizer, and the table that reads them.
#include "runtime/text/tokenizer/Normalizer.h"

#include "runtime/support/Utf8.h"
#include "runtime/text/tokenizer/ByteLevel.h"
#include "runtime/text/tokenizer/Pattern.h"
#include "runtime/text/tokenizer/Steps.h"
#include "runtime/text/tokenizer/Unicode.h"

namespace fairy2::tokenizer {
namespace {

std::unique_ptr<Normalizer> readAny(const JsonField &field);

class Sequence final : public StepSequence<Normalizer> {
public:
  explicit Sequence(const JsonField &field)
      : StepSequence(field, "normalizers", readAny) {}
  void apply(std::string &text) const override {
    for (const auto &step : steps) {
      step->apply(text);
      requireModestText(text.size());
    }
  }
};

class Prepend final : public Normalizer {
public:
  explicit Prepend(const JsonField &field) {
    field.requireKeys({"type", "prepend"});
    prefix = field["prepend"].string();
  }
  void apply(std::string &text) const override {
    if (!text.empty())
      text.insert(0, prefix);
  }
  double growth() const override { return 1 + double(prefix.size()); }

private:
  std::string prefix;
};

class Strip final : public Normalizer {
public:
  explicit Strip(const JsonField &field) {
    field.requireKeys({"type", "strip_left", "strip_right"});
    left = field["strip_left"].boolean();
    right = field["strip_right"].boolean();
  }
  void apply(std::string &text) const override {
    size_t begin = 0, end = text.size();
    while (left && begin < end) {
      const CodePoint c = codePointAt(text.data() + begin);
      if (!isWhitespace(c.value))
        break;
      begin += c.length;
    }
    while (right && begin < end) {
      const CodePoint c = codePointBefore(text.data() + end);
      if (!isWhitespace(c.value))
        break;
      end -= c.length;
    }
    text.resize(end);
    text.erase(0, begin);
  }

private:
  bool left, right;
};

class Replace final : public Normalizer {
public:
  explicit Replace(const JsonField &field) {
    field.requireKeys({"type", "pattern", "content"});
    pattern = readPattern(field["pattern"]);
    content = field["content"].string();
  }
  void apply(std::string &text) const override {
    std::vector<Span> spans;
    pattern->split(text, spans);
    std::string out;
    out.reserve(text.size());
    for (const Span &s : spans)
      if (s.matches) {
        out += content;
        requireModestText(out.size());
      } else {
        out.append(text, s.begin, s.end - s.begin);
      }
    text = std::move(out);
  }
  double growth() const override {
    return growthOfReplacing(pattern->literalSize(), content.size());
  }

private:
  std::unique_ptr<Pattern> pattern;
  std::string content;
};

template <NormalForm form> class Form final : public Normalizer {
public:
  void apply(std::string &text) const override { normalize(text, form); }
  /// The most any character grows is U+FDFA, 3 bytes, which becomes 33.
  double growth() const override { return 11; }
};

/// Rewrites character by character: `append(out, c)`, at most to twice the
/// size.
template <void (*append)(std::string &, char32_t)>
class EachCharacter final : public Normalizer {
public:
  void apply(std::string &text) const override {
    std::string out;
    out.reserve(text.size());
    for (size_t i = 0; i < text.size();) {
      const CodePoint c = codePointAt(text.data() + i);
      append(out, c.value);
      i += c.length;
    }
    text = std::move(out);
  }
  double growth() const override { return 2; }
};

void appendUnlessAccent(std::string &out, char32_t c) {
  if (!isAccent(c))
    appendUtf8(out, c);
}

/// The cleaning of a machine translation toolkit: drops control characters and
/// makes a space of unusual ones.
void appendNmt(std::string &out, char32_t c) {
  const bool dropped = (c >= 1 && c <= 8) || c == 0xb ||
                       (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f ||
                       c == 0x9f;
  const bool space = c == 9 || c == 0xa || c == 0xc || c == 0xd ||
                     c == 0x1680 || (c >= 0x200b && c <= 0x200f) ||
                     c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff ||
                     c == 0xfffd;
  if (!dropped)
    appendUtf8(out, space ? ' ' : c);
}

/// Spells bytes as characters.
class ByteLevel final : public Normalizer {
public:
  void apply(std::string &text) const override {
    std::string out;
    appendByteCharacters(out, text);
    text = std::move(out);
  }
  double growth() const override { return 2; }
};

/// SentencePiece's own treatment of spaces; its character map is the identity.
class SentencePieceSpaces final : public Normalizer {
public:
  explicit SentencePieceSpaces(const JsonField &field) {
    field.requireKeys({"type", "add_dummy_prefix", "remove_extra_whitespaces",
                       "escape_whitespaces"});
    addDummyPrefix = field["add_dummy_prefix"].boolean();
    removeExtra = field["remove_extra_whitespaces"].boolean();
    if (field["escape_whitespaces"].boolean())
      space = "\xe2\x96\x81";
  }

  void apply(std::string &text) const override {
    std::string_view rest = text;
    while (removeExtra && rest.starts_with(' '))
      rest.remove_prefix(1);
    std::string out;
    if (!rest.empty() && addDummyPrefix)
      out += space;
    bool afterSpace = removeExtra;
    for (char c : rest) {
      if (c != ' ')
        out += c;
      else if (!afterSpace)
        out += space;
      afterSpace = removeExtra && c == ' ';
    }
    // This may eat a metaspace of the text itself, or the prefix.
    while (removeExtra && out.ends_with(space))
      out.resize(out.size() - space.size());
    text = std::move(out);
  }
  /// A text of one space may become two metaspaces.
  double growth() const override { return 6; }

private:
  bool addDummyPrefix, removeExtra;
  std::string_view space = " ";
};

std::unique_ptr<Normalizer> readAny(const JsonField &field) {
  using Type = StepType<Normalizer>;
  static const Type types[] = {
      Type::of<Sequence>("Sequence"),
      Type::of<Prepend>("Prepend"),
      Type::of<Strip>("Strip"),
      Type::of<Replace>("Replace"),
      Type::of<SentencePieceSpaces>("SentencePiece"),
      Type::plain<Form<NormalForm::C>>("NFC"),
      Type::plain<Form<NormalForm::D>>("NFD"),
      Type::plain<Form<NormalForm::KC>>("NFKC"),
      Type::plain<Form<NormalForm::KD>>("NFKD"),
      Type::plain<EachCharacter<appendLowercase>>("Lowercase"),
      Type::plain<EachCharacter<appendUnlessAccent>>("StripAccents"),
      Type::plain<EachCharacter<appendNmt>>("Nmt"),
      Type::plain<ByteLevel>("ByteLevel")};
  return readStep(field, "normalizer", types);
}

} // namespace

std::unique_ptr<Normalizer> readNormalizer(const JsonField &field) {
  return field.isNull() ? nullptr : requireModestGrowth(field, readAny(field));
}

} // namespace fairy2::tokenizer
