// SPDX-License-Identifier: Apache-2.0
//
// Passes over a vocabulary, for the sampler and for scores: each reads its
// arrays once, in lanes of a fixed number and order, so that a step of sampling
// costs microseconds and gives equal bits on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace fairy2 {

/// Arrays of weights have a multiple of this many entries; the last ones of a
/// vocabulary's are 0.
inline constexpr size_t kPassBlock = 256;

/// Whether a logit is NaN or +infinity.
bool hasBrokenLogit(std::span<const float> logits);
/// The first of the largest; of an empty list 0.
size_t firstLargest(std::span<const float> values);

/// The sum of exp(logits[i] - best), `best` being the largest: within 1e-14 of
/// the value, and less for what lies more than 700 below the best. NaN when a
/// logit is NaN or +infinity.
double sumOfExp(std::span<const float> logits, float best);

/// weights[i] = exp((logits[i] - best) / temperature) to within 2e-6 of the
/// value, 0 below 2^-125, 1 for the best. `weights` has kPassBlock's
/// multiple; the rest of it becomes 0.
void weigh(std::span<const float> logits, float best, float temperature,
           std::span<float> weights);

/// Where a list is cut that is ordered by keys, the larger first and of equal
/// ones the lower index: it keeps larger keys, and equal ones up to the index.
struct Cut {
  float key;
  size_t index;
};

/// Keeps the `count` first of `keys`, which has more.
Cut cutAtCount(std::span<const float> keys, size_t count);
/// Keeps the fewest first whose sum reaches `share` of the whole (above 0, at
/// most 1). `weights` are as weigh() leaves them.
Cut cutAtSum(std::span<const float> weights, double share);

/// Makes the weights 0 whose `keys` lie behind the cut.
void dropBehind(const Cut &cut, std::span<const float> keys,
                std::span<float> weights);
/// Makes the weights 0 that are less.
void dropBelow(float least, std::span<float> weights);

/// The index at which the running sum passes `share` (0 to 1, exclusive) of the
/// whole; never one of weight 0 unless all are.
size_t drawAt(std::span<const float> weights, double share);

} // namespace fairy2
