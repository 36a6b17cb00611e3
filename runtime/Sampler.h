// SPDX-License-Identifier: Apache-2.0
//
// Chooses the next token from logits. The draw is a function of logits,
// history, seed and step alone: no state, so runs repeat and slots are
// independent of each other.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace fairy2 {

struct Sampling {
  float temperature = 0;       ///< 0: greedy, ties go to the lowest id
  int32_t topK = 0;            ///< keep the k most likely; 0: off
  float topP = 1;              ///< keep the fewest that reach this mass; 1: off
  float minP = 0;              ///< keep those this likely relative to the best
  float repetitionPenalty = 1; ///< above 1: tokens of the history lose
  uint64_t seed = 0;
  /// As OpenAI defines them, -2 to 2: what the logit of a generated token loses
  /// once, and for each time that it was generated.
  float presencePenalty = 0, frequencyPenalty = 0;
  /// Token ids, and what their logits gain, -100 to 100; the last of an id
  /// counts.
  std::vector<std::pair<int32_t, float>> logitBias = {};
};

/// Throws StatusError naming the field that is out of range.
void checkSampling(const Sampling &sampling);

/// Throws StatusError when a logit is NaN or +infinity, or all are -infinity.
void checkLogits(std::span<const float> logits);

/// The token chosen for `step`. Order as in transformers: repetition penalty
/// (once per distinct token of `history`), temperature, top-k, top-p, min-p.
/// The other penalties, of the `step` tokens that `history` ends with, and the
/// bias come before the temperature. Logits may be -infinity (never chosen) but
/// not NaN or +infinity. Throws StatusError.
int32_t sampleToken(const Sampling &sampling, std::span<const float> logits,
                    std::span<const int32_t> history, uint64_t step);

/// A number in [0, 1) that depends on seed and step alone.
double uniformOf(uint64_t seed, uint64_t step);

} // namespace fairy2
