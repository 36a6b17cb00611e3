// SPDX-License-Identifier: Apache-2.0
//
// The learning rate over time.
#pragma once

#include "trainer/Recipe.h"

#include <cstdint>

namespace fairy2 {

/// What the peak learning rate is multiplied by in `step` (from 0) of `steps`:
/// a linear warm-up, then the recipe's schedule, which ends at final_factor.
double learningRateFactor(const Recipe::Train &train, int64_t step,
                          int64_t steps);

} // namespace fairy2
