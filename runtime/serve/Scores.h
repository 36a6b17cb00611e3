// SPDX-License-Identifier: Apache-2.0
//
// Scored tokens as replies tell them: the arrays of /v1/completions, and the
// list of chats. They grow as text, token by token.
#pragma once

#include "runtime/Likelihood.h"
#include "runtime/text/Tokenizer.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2::serve {

/// `text` as a JSON string, in quotes; what is no UTF-8 is replaced.
std::string jsonText(std::string_view text);
/// A token's bytes if they are UTF-8, else `bytes:\xe2\x80`.
std::string tokenName(std::string_view bytes);
/// The shortest decimal that a double reads back as the float; the least float
/// for -infinity.
std::string numberOf(float value);
size_t codePoints(std::string_view text);

/// Where in a text each token of it begins, in code points; tokens that share a
/// character share its place.
class Offsets {
public:
  struct Options {
    bool skipsSpecial = false; ///< special tokens are not in the text
    /// The text begins with the first token, so that some decoders drop its
    /// space.
    bool beginsText = true;
    size_t before = 0; ///< what of the text comes before
  };
  Offsets(const Tokenizer &tokenizer, Options options)
      : tokenizer(&tokenizer), options(options), place(options.before) {}
  size_t next(int32_t id);

private:
  const Tokenizer *tokenizer;
  Options options;
  size_t place;
};

/// logprobs of /v1/completions: four arrays of one length.
class ScoreArrays {
public:
  /// A token without a score is a prompt's first.
  void add(const Tokenizer &tokenizer, int32_t id, const TokenScore *score,
           size_t offset);
  bool isEmpty() const { return tokens.empty(); }
  /// The JSON of what was added since the last call.
  std::string take();

private:
  std::string tokens, logprobs, best, offsets; ///< without brackets
};

/// logprobs of a chat: tokens that are the message, and no others.
class ScoreList {
public:
  void add(const Tokenizer &tokenizer, const TokenScore &score, size_t offset);
  /// The JSON of those that begin before code point `end` of the message and
  /// were not taken before.
  std::string take(size_t end);

private:
  struct Held {
    std::string json;
    size_t offset;
  };
  std::deque<Held> held;
};

} // namespace fairy2::serve
