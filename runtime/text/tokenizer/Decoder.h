// SPDX-License-Identifier: Apache-2.0
//
// Turns tokens back into text: the "decoder" of a tokenizer.json. Every decoder
// is a stage that takes tokens bit by bit and passes on what has become
// certain, so that streaming and decoding at once are the same code.
#pragma once

#include "runtime/support/Json.h"

#include <memory>
#include <string>
#include <string_view>

namespace fairy2::tokenizer {

/// Takes a sequence of tokens, each as chunks of valid UTF-8 and an end.
class TokenSink {
public:
  virtual ~TokenSink() = default;
  /// The next part of the current token.
  virtual void append(std::string_view chunk) = 0;
  /// The current token is complete.
  virtual void endToken() = 0;
  /// No more tokens come; all are complete.
  virtual void finish() = 0;
};

/// A sink in progress that passes its result on to the sink it was opened for.
class Decoder {
public:
  virtual ~Decoder() = default;
  /// The state of decoding one sequence; `next` must outlive it.
  virtual std::unique_ptr<TokenSink> open(TokenSink &next) const = 0;
  /// Makes of one token the bytes that it stands for in the midst of a text,
  /// which need not be valid UTF-8. Returns whether decoders behind this one
  /// see tokens; if not they change the ends of the text at most.
  virtual bool convert(std::string &token) const = 0;
  /// By what factor the text of all tokens may become longer.
  virtual double growth() const = 0;
};

/// The decoder in `field`; the one of `tokenizers` that joins tokens with
/// spaces when the field is null. Throws Error when its type is unknown.
std::unique_ptr<Decoder> readDecoder(const JsonField &field);

} // namespace fairy2::tokenizer
