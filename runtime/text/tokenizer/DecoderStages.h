// SPDX-License-Identifier: Apache-2.0
//
// Shapes that decoders share: a stage in a chain, and one that needs whole
// tokens.
#pragma once

#include "runtime/text/tokenizer/Decoder.h"

namespace fairy2::tokenizer {

/// A stage that passes everything on; derived ones override what they change.
class DecoderStage : public TokenSink {
public:
  explicit DecoderStage(TokenSink &next) : next(next) {}
  void append(std::string_view chunk) override { next.append(chunk); }
  void endToken() override { next.endToken(); }
  void finish() override { next.finish(); }

protected:
  void pass(std::string_view token) {
    next.append(token);
    next.endToken();
  }
  TokenSink &next;
};

/// Collects each token and hands it over whole.
class WholeTokenStage : public DecoderStage {
public:
  using DecoderStage::DecoderStage;
  void append(std::string_view chunk) override { token += chunk; }
  void endToken() override {
    take(token);
    token.clear();
  }

protected:
  /// Called with each token; may change it and pass on what it likes.
  virtual void take(std::string &token) = 0;

private:
  std::string token;
};

/// A decoder without settings of its own, as a stage type, which has `convert`,
/// and its growth.
template <typename Stage, int factor>
class PlainDecoder final : public Decoder {
public:
  double growth() const override { return factor; }
  bool convert(std::string &token) const override {
    return Stage::convert(token);
  }
  std::unique_ptr<TokenSink> open(TokenSink &next) const override {
    return std::make_unique<Stage>(next);
  }
};

} // namespace fairy2::tokenizer
