// SPDX-License-Identifier: Apache-2.0
//
// Sums in double, whatever the vocabulary, and the same on every machine.
#include "runtime/Likelihood.h"

#include "runtime/LogitPasses.h"

#include <algorithm>
#include <cmath>

namespace fairy2 {

namespace {

/// log of the sum of exp(logits).
double logSumOf(std::span<const float> logits) {
  const float largest = logits[firstLargest(logits)];
  return std::log(sumOfExp(logits, largest)) + double(largest);
}

/// The indices of the `count` largest, of equal ones the first.
std::vector<int32_t> largestOf(std::span<const float> logits, size_t count) {
  count = std::min(count, logits.size());
  std::vector<int32_t> best; // in order
  if (count == 0)
    return best;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float logit = logits[i];
    if (best.size() == count) {
      if (!(logit > logits[size_t(best.back())]))
        continue;
      best.pop_back();
    }
    const auto place = std::ranges::find_if(
        best, [&](int32_t other) { return logit > logits[size_t(other)]; });
    best.insert(place, int32_t(i));
  }
  return best;
}

} // namespace

double negativeLogLikelihood(std::span<const float> logits, int32_t target) {
  return logSumOf(logits) - double(logits[size_t(target)]);
}

TokenScore scoreOf(std::span<const float> logits, int32_t target,
                   size_t count) {
  const double sum = logSumOf(logits);
  const auto told = [&](int32_t id) {
    return TokenProbability{id, float(double(logits[size_t(id)]) - sum)};
  };
  TokenScore score{told(target), {}};
  for (const int32_t id : largestOf(logits, count))
    score.best.push_back(told(id));
  return score;
}

int32_t mostLikely(std::span<const float> logits) {
  return int32_t(firstLargest(logits));
}

} // namespace fairy2
