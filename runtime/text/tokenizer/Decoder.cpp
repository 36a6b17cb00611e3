// SPDX-License-Identifier: Apache-2.0
//
// One small class per type of decoder, and the table that reads them.
#include "runtime/text/tokenizer/Decoder.h"

#include "runtime/support/Utf8.h"
#include "runtime/text/tokenizer/ByteLevel.h"
#include "runtime/text/tokenizer/DecoderStages.h"
#include "runtime/text/tokenizer/Pattern.h"
#include "runtime/text/tokenizer/Steps.h"

#include <limits>

namespace fairy2::tokenizer {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";

/// Without a decoder tokens are joined with spaces.
class JoinStage final : public DecoderStage {
public:
  using DecoderStage::DecoderStage;
  void append(std::string_view chunk) override {
    if (betweenTokens)
      next.append(" ");
    betweenTokens = false;
    next.append(chunk);
  }
  void endToken() override {
    append("");
    betweenTokens = true;
  }
  void finish() override {
    next.endToken();
    next.finish();
  }
  static bool convert(std::string &token) {
    token.insert(0, " ");
    return false;
  }

private:
  bool betweenTokens = false;
};

/// Makes one token of all.
class FuseStage final : public DecoderStage {
public:
  using DecoderStage::DecoderStage;
  void endToken() override {}
  void finish() override {
    next.endToken();
    next.finish();
  }
  static bool convert(std::string &) { return false; }
};

/// The byte that a token such as <0xE2> stands for, or -1.
int byteOf(std::string_view token) {
  const auto digit = [&](size_t i) {
    const char c = token[i];
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>' ||
      digit(3) < 0 || digit(4) < 0)
    return -1;
  return digit(3) << 4 | digit(4);
}

/// Collects such tokens and makes text of each run of them. A run that is not
/// valid UTF-8 becomes one U+FFFD per byte, so nothing of it is certain before
/// it ends.
class ByteFallbackStage final : public WholeTokenStage {
public:
  using WholeTokenStage::WholeTokenStage;
  void finish() override {
    flush();
    next.finish();
  }
  static bool convert(std::string &token) {
    if (const int byte = byteOf(token); byte >= 0)
      token.assign(1, char(byte));
    return true;
  }

protected:
  void take(std::string &token) override {
    if (const int byte = byteOf(token); byte >= 0) {
      run += char(byte);
      return;
    }
    flush();
    pass(token);
  }

private:
  void flush() {
    if (run.empty())
      return;
    if (isValidUtf8(run))
      pass(run);
    else
      for (size_t i = 0; i < run.size(); ++i)
        pass(replacement);
    run.clear();
  }
  std::string run;
};

/// Takes the characters of tokens for bytes and the bytes for UTF-8; tokens
/// with other characters stand for their own bytes. Makes one token of all.
class ByteLevelStage final : public WholeTokenStage {
public:
  using WholeTokenStage::WholeTokenStage;
  void finish() override {
    if (!bytes.empty())
      next.append(replacement);
    next.endToken();
    next.finish();
  }
  static bool convert(std::string &token) {
    std::string bytes;
    if (appendBytesOfCharacters(bytes, token))
      token = bytes;
    return false;
  }

protected:
  void take(std::string &token) override {
    if (!appendBytesOfCharacters(bytes, token))
      bytes += token;
    text.clear();
    moveValidUtf8(bytes, text);
    next.append(text);
  }

private:
  std::string bytes, text;
};

class MetaspaceDecoder final : public Decoder {
public:
  explicit MetaspaceDecoder(const JsonField &field) {
    field.requireKeys({"type", "replacement", "add_prefix_space",
                       "prepend_scheme", "split", "str_rep"});
    appendUtf8(replacement, field["replacement"].character());
    const JsonField scheme = field["prepend_scheme"];
    dropsFirst = field["add_prefix_space"].boolean(true) &&
                 (scheme.isNull() || scheme.string() != "never");
  }
  std::unique_ptr<TokenSink> open(TokenSink &next) const override {
    return std::make_unique<Stage>(next, *this);
  }
  bool convert(std::string &token) const override {
    for (size_t at = 0; (at = token.find(replacement, at)) != token.npos;)
      token.replace(at, replacement.size(), " ");
    return true;
  }
  double growth() const override { return 1; }

private:
  /// In the first token the replacement vanishes, elsewhere it is a space.
  class Stage final : public DecoderStage {
  public:
    Stage(TokenSink &next, const MetaspaceDecoder &decoder)
        : DecoderStage(next), replacement(decoder.replacement),
          drops(decoder.dropsFirst) {}
    void append(std::string_view chunk) override {
      for (size_t at; (at = chunk.find(replacement)) != chunk.npos;
           chunk.remove_prefix(at + replacement.size())) {
        next.append(chunk.substr(0, at));
        if (!drops)
          next.append(" ");
      }
      next.append(chunk);
    }
    void endToken() override {
      drops = false;
      next.endToken();
    }

  private:
    const std::string &replacement;
    bool drops;
  };
  std::string replacement;
  bool dropsFirst;
};

class ReplaceDecoder final : public Decoder {
public:
  explicit ReplaceDecoder(const JsonField &field) {
    field.requireKeys({"type", "pattern", "content"});
    content = field["content"].string();
    pattern = readPattern(field["pattern"]);
    // A literal is looked for in tokens as they grow, so that text flows
    // through a Replace after a Fuse.
    if (const JsonField text = field["pattern"]["String"]; !text.isNull())
      literal = text.string();
    else if (content.find('$') != content.npos)
      field["content"].refuse("a reference to a group is not supported");
  }
  std::unique_ptr<TokenSink> open(TokenSink &next) const override {
    if (literal.empty())
      return std::make_unique<RegexStage>(next, *this);
    return std::make_unique<LiteralStage>(next, *this);
  }
  bool convert(std::string &token) const override {
    token = replaced(token);
    return true;
  }
  double growth() const override {
    return growthOfReplacing(literal.size(), content.size());
  }

private:
  std::string replaced(std::string_view token) const {
    std::vector<Span> spans;
    pattern->split(token, spans);
    std::string text;
    for (const Span &s : spans)
      text += s.matches ? std::string_view(content)
                        : token.substr(s.begin, s.end - s.begin);
    return text;
  }

  class RegexStage final : public WholeTokenStage {
  public:
    RegexStage(TokenSink &next, const ReplaceDecoder &decoder)
        : WholeTokenStage(next), decoder(decoder) {}

  protected:
    void take(std::string &token) override { pass(decoder.replaced(token)); }

  private:
    const ReplaceDecoder &decoder;
  };

  class LiteralStage final : public DecoderStage {
  public:
    LiteralStage(TokenSink &next, const ReplaceDecoder &decoder)
        : DecoderStage(next), decoder(decoder) {}
    void append(std::string_view chunk) override {
      held += chunk;
      const std::string &literal = decoder.literal;
      size_t done = 0;
      for (size_t at; (at = held.find(literal, done)) != held.npos;
           done = at + literal.size()) {
        next.append(std::string_view(held).substr(done, at - done));
        next.append(decoder.content);
      }
      // Keep what may be the beginning of the literal.
      size_t keep = std::min(held.size() - done, literal.size() - 1);
      while (!literal.starts_with(
          std::string_view(held).substr(held.size() - keep)))
        --keep;
      next.append(
          std::string_view(held).substr(done, held.size() - keep - done));
      held.erase(0, held.size() - keep);
    }
    void endToken() override {
      pass(held);
      held.clear();
    }

  private:
    const ReplaceDecoder &decoder;
    std::string held;
  };

  std::unique_ptr<Pattern> pattern;
  std::string literal, content;
};

/// Removes up to `start` and `stop` times a character at the ends of tokens.
class StripDecoder final : public Decoder {
public:
  explicit StripDecoder(const JsonField &field) {
    field.requireKeys({"type", "content", "start", "stop"});
    appendUtf8(content, field["content"].character());
    constexpr int64_t most = std::numeric_limits<int32_t>::max();
    start = size_t(field["start"].integer(0, most));
    stop = size_t(field["stop"].integer(0, most));
  }
  std::unique_ptr<TokenSink> open(TokenSink &next) const override {
    return std::make_unique<Stage>(next, *this);
  }
  bool convert(std::string &token) const override {
    std::string_view rest = token;
    for (size_t i = 0; i < start && rest.starts_with(content); ++i)
      rest.remove_prefix(content.size());
    for (size_t i = 0; i < stop && rest.ends_with(content); ++i)
      rest.remove_suffix(content.size());
    token = std::string(rest);
    return true;
  }
  double growth() const override { return 1; }

private:
  class Stage final : public DecoderStage {
  public:
    Stage(TokenSink &next, const StripDecoder &decoder)
        : DecoderStage(next), decoder(decoder), toStrip(decoder.start) {}
    void append(std::string_view chunk) override {
      const std::string &content = decoder.content;
      for (; toStrip && chunk.starts_with(content); --toStrip)
        chunk.remove_prefix(content.size());
      if (chunk.empty())
        return;
      toStrip = 0;
      size_t trailing = 0;
      std::string_view rest = chunk;
      for (; rest.ends_with(content); ++trailing)
        rest.remove_suffix(content.size());
      if (!rest.empty()) {
        emitHeld(held);
        next.append(rest);
      }
      // The last `stop` of them may be the last of the token.
      held += trailing;
      if (held > decoder.stop)
        emitHeld(held - decoder.stop);
    }
    void endToken() override {
      held = 0;
      toStrip = decoder.start;
      next.endToken();
    }

  private:
    void emitHeld(size_t count) {
      for (size_t i = 0; i < count; ++i)
        next.append(decoder.content);
      held -= count;
    }
    const StripDecoder &decoder;
    size_t toStrip;
    size_t held = 0; // trailing characters not passed on yet
  };

  std::string content;
  size_t start, stop;
};

std::unique_ptr<Decoder> readAny(const JsonField &field);

class SequenceDecoder final : public StepSequence<Decoder> {
public:
  explicit SequenceDecoder(const JsonField &field)
      : StepSequence(field, "decoders", readAny) {}
  std::unique_ptr<TokenSink> open(TokenSink &next) const override {
    return std::make_unique<Stage>(next, *this);
  }
  bool convert(std::string &token) const override {
    for (const auto &step : steps)
      if (!step->convert(token))
        return false;
    return true;
  }

private:
  /// Owns the stages and enters the first.
  class Stage final : public TokenSink {
  public:
    Stage(TokenSink &next, const SequenceDecoder &decoder) : first(&next) {
      for (size_t i = decoder.steps.size(); i-- > 0;) {
        stages.push_back(decoder.steps[i]->open(*first));
        first = stages.back().get();
      }
    }
    void append(std::string_view chunk) override { first->append(chunk); }
    void endToken() override { first->endToken(); }
    void finish() override { first->finish(); }

  private:
    std::vector<std::unique_ptr<TokenSink>> stages;
    TokenSink *first;
  };
};

std::unique_ptr<Decoder> readByteLevel(const JsonField &field) {
  field.requireKeys({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  return std::make_unique<PlainDecoder<ByteLevelStage, 3>>();
}

std::unique_ptr<Decoder> readAny(const JsonField &field) {
  using Type = StepType<Decoder>;
  static const Type types[] = {
      Type::of<SequenceDecoder>("Sequence"),
      Type::of<ReplaceDecoder>("Replace"),
      Type::of<StripDecoder>("Strip"),
      Type::of<MetaspaceDecoder>("Metaspace"),
      {"ByteLevel", readByteLevel},
      Type::plain<PlainDecoder<FuseStage, 1>>("Fuse"),
      Type::plain<PlainDecoder<ByteFallbackStage, 1>>("ByteFallback")};
  return readStep(field, "decoder", types);
}

} // namespace

std::unique_ptr<Decoder> readDecoder(const JsonField &field) {
  if (field.isNull())
    return std::make_unique<PlainDecoder<JoinStage, 2>>();
  return requireModestGrowth(field, readAny(field));
}

} // namespace fairy2::tokenizer
