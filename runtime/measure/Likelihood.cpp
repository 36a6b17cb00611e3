// SPDX-License-Identifier: Apache-2.0
//
// Sums in double, whatever the vocabulary.
#include "runtime/measure/Likelihood.h"

#include <algorithm>
#include <cmath>

namespace fairy2 {

double negativeLogLikelihood(std::span<const float> logits, int32_t target) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits)
    sum += std::exp(double(logit) - largest);
  return std::log(sum) + largest - double(logits[size_t(target)]);
}

int32_t mostLikely(std::span<const float> logits) {
  return int32_t(std::max_element(logits.begin(), logits.end()) -
                 logits.begin());
}

} // namespace fairy2
