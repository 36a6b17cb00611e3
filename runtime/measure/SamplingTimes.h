// SPDX-License-Identifier: Apache-2.0
//
// What the choice of the next token costs, by the shape of the logits and by
// what is asked of the sampler.
#pragma once

#include "runtime/measure/Benchmark.h"

#include <cstdint>
#include <vector>

namespace fairy2 {

/// A row for every kind of sampling and of logits, on the caller's thread.
std::vector<SamplingRow> timeSampling(int32_t vocabulary);

} // namespace fairy2
