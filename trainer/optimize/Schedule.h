// SPDX-License-Identifier: Apache-2.0
//
// What changes over time: the learning rate, and how soft codes are.
#pragma once

#include "trainer/run/Recipe.h"

#include <cstdint>

namespace fairy2::trainer {

/// What the peak learning rate is multiplied by in `step` (from 0) of `steps`:
/// a linear warm-up, then the recipe's schedule, which ends at final_factor.
double learningRateFactor(const Recipe::Train &train, int64_t step,
                          int64_t steps);

/// The temperature of soft codes in `step` (from 0) of `steps`: it falls in
/// equal steps from 0.3, where Hestia begins, to 0, and is 0 when train.anneal
/// of the steps are done.
double annealingTemperature(const Recipe::Train &train, int64_t step,
                            int64_t steps);

} // namespace fairy2::trainer
