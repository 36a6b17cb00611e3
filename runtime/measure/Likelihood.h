// SPDX-License-Identifier: Apache-2.0
//
// What logits say of a token. Perplexity and tasks share it.
#pragma once

#include <cstdint>
#include <span>

namespace fairy2 {

/// -log softmax(logits)[target], in double.
double negativeLogLikelihood(std::span<const float> logits, int32_t target);

/// The first of the largest logits.
int32_t mostLikely(std::span<const float> logits);

} // namespace fairy2
