// SPDX-License-Identifier: Apache-2.0
//
// Half cosines and pieces of lines over the share of the steps that are done.
#include "trainer/optimize/Schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fairy2::trainer {
namespace {

/// Half a cosine from 1 at x = 0 to `end` at x = 1.
double cosine(double x, double end) {
  return end + (1 - end) * 0.5 * (1 + std::cos(std::numbers::pi * x));
}

double piecewise(const std::vector<std::pair<double, double>> &pieces,
                 double x) {
  if (x <= pieces.front().first)
    return pieces.front().second;
  for (size_t i = 1; i < pieces.size(); ++i)
    if (const auto &[at, factor] = pieces[i]; x <= at) {
      const auto &[before, from] = pieces[i - 1];
      return from + (factor - from) * (x - before) / (at - before);
    }
  return pieces.back().second;
}

} // namespace

double learningRateFactor(const Recipe::Train &train, int64_t step,
                          int64_t steps) {
  const auto warmup = int64_t(std::llround(train.warmup * double(steps)));
  if (step < warmup)
    return double(step + 1) / double(warmup);
  // 0 in the first step after the warm-up, 1 in the last of all.
  const auto progress = [&](int64_t begin) {
    return steps - 1 <= begin
               ? 1.0
               : double(step - begin) / double(steps - 1 - begin);
  };
  if (train.schedule == "piecewise")
    return piecewise(train.pieces,
                     steps <= 1 ? 1.0 : double(step) / double(steps - 1));
  if (train.schedule == "wsd") {
    const auto begin = std::max(
        warmup, steps - int64_t(std::llround(train.decay * double(steps))));
    return step < begin ? 1 : cosine(progress(begin), train.finalFactor);
  }
  return cosine(progress(warmup), train.finalFactor);
}

double annealingTemperature(const Recipe::Train &train, int64_t step,
                            int64_t steps) {
  constexpr double kSoftest = 0.3;
  const auto end = int64_t(std::llround(train.anneal * double(steps)));
  return step < end ? kSoftest * double(end - step) / double(end) : 0;
}

} // namespace fairy2::trainer
