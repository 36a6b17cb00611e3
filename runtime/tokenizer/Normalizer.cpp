// SPDX-License-Identifier: Apache-2.0
//
// One small class per type of normalizer, and the table that reads them.
#include "runtime/tokenizer/Normalizer.h"

#include "runtime/tokenizer/ByteLevel.h"
#include "runtime/tokenizer/Growth.h"
#include "runtime/tokenizer/Pattern.h"
#include "runtime/tokenizer/Unicode.h"
#include "runtime/tokenizer/Utf8.h"

namespace fairy2::tokenizer {
namespace {

std::unique_ptr<Normalizer> readStep(const JsonField &field);

class Sequence final : public Normalizer {
public:
  explicit Sequence(const JsonField &field) {
    field.requireKeys({"type", "normalizers"});
    for (const JsonField &element : field["normalizers"].elements())
      steps.push_back(readStep(element));
  }
  void apply(std::string &text) const override {
    for (const auto &step : steps)
      step->apply(text);
  }
  double growth() const override {
    double product = 1;
    for (const auto &step : steps)
      product *= step->growth();
    return product;
  }

private:
  std::vector<std::unique_ptr<Normalizer>> steps;
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
      if (s.matches)
        out += content;
      else
        out.append(text, s.begin, s.end - s.begin);
    text = std::move(out);
  }
  double growth() const override {
    return growthOfReplacing(pattern->literalSize(), content.size());
  }

private:
  std::unique_ptr<Pattern> pattern;
  std::string content;
};

class Form final : public Normalizer {
public:
  explicit Form(NormalForm form) : form(form) {}
  void apply(std::string &text) const override { normalize(text, form); }
  /// The most any character grows is U+FDFA, 3 bytes, which becomes 33.
  double growth() const override { return 11; }

private:
  NormalForm form;
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

/// A normalizer without settings of its own.
std::unique_ptr<Normalizer> makePlain(const std::string &type) {
  if (type == "NFC")
    return std::make_unique<Form>(NormalForm::C);
  if (type == "NFD")
    return std::make_unique<Form>(NormalForm::D);
  if (type == "NFKC")
    return std::make_unique<Form>(NormalForm::KC);
  if (type == "NFKD")
    return std::make_unique<Form>(NormalForm::KD);
  if (type == "Lowercase")
    return std::make_unique<EachCharacter<appendLowercase>>();
  if (type == "StripAccents")
    return std::make_unique<EachCharacter<appendUnlessAccent>>();
  if (type == "Nmt")
    return std::make_unique<EachCharacter<appendNmt>>();
  if (type == "ByteLevel")
    return std::make_unique<ByteLevel>();
  return nullptr;
}

std::unique_ptr<Normalizer> readStep(const JsonField &field) {
  const std::string type = field["type"].string();
  if (type == "Sequence")
    return std::make_unique<Sequence>(field);
  if (type == "Prepend")
    return std::make_unique<Prepend>(field);
  if (type == "Strip")
    return std::make_unique<Strip>(field);
  if (type == "Replace")
    return std::make_unique<Replace>(field);
  if (std::unique_ptr<Normalizer> plain = makePlain(type)) {
    field.requireKeys({"type"});
    return plain;
  }
  field["type"].refuse("the normalizer " + inQuotes(type) +
                       " is not supported");
}

} // namespace

std::unique_ptr<Normalizer> readNormalizer(const JsonField &field) {
  if (field.isNull())
    return nullptr;
  std::unique_ptr<Normalizer> normalizer = readStep(field);
  requireModestGrowth(field, normalizer->growth());
  return normalizer;
}

} // namespace fairy2::tokenizer
