// SPDX-License-Identifier: Apache-2.0
//
// What logits say of a token. Perplexity, tasks and replies share it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fairy2 {

/// -log softmax(logits)[target], in double.
double negativeLogLikelihood(std::span<const float> logits, int32_t target);

struct TokenProbability {
  int32_t id;
  float logprob; ///< log softmax, rounded once
  friend bool operator==(const TokenProbability &,
                         const TokenProbability &) = default;
};

/// A token at its place, by the model's own logits: at temperature 1, before
/// penalties and bias.
struct TokenScore {
  TokenProbability token;
  std::vector<TokenProbability> best; ///< the likeliest first, then by id
};
/// With as many of the best as `count` says and the vocabulary has.
TokenScore scoreOf(std::span<const float> logits, int32_t target, size_t count);

/// The first of the largest logits.
int32_t mostLikely(std::span<const float> logits);

} // namespace fairy2
