// SPDX-License-Identifier: Apache-2.0
//
// What quantizing a model will take: operations are counted, and how fast this
// machine does each kind is tried for a moment.
#pragma once

#include "trainer/model/Model.h"
#include "trainer/quantize/StagePlan.h"

#include <cstdint>

namespace fairy2::trainer {

struct QuantizationWork {
  int64_t tokens = 0, gradientTokens = 0, tuningTokens = 0;
  int64_t sequenceLength = 0;
  bool surveys = false; ///< for --bits
  int threads = 1;
};

struct QuantizationCosts {
  double seconds = 0;
  int64_t memoryBytes = 0, diskBytes = 0;
};

/// Without reading weights; takes about two seconds of all threads.
QuantizationCosts planCosts(const Model &model, const StagePlan &plan,
                            const QuantizationWork &work);

} // namespace fairy2::trainer
