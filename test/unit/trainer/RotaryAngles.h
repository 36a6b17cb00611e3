// SPDX-License-Identifier: Apache-2.0
//
// Rotary angles for the tests' attention plans.
#pragma once

#include <ATen/ATen.h>

namespace fairy2::trainer {

/// AttentionPlan::angles whose frequencies fall by 10 from one to the next.
inline at::Tensor rotaryAngles(int64_t places, int64_t dim) {
  const at::Tensor frequencies =
      at::pow(at::full({dim / 2}, 0.1), at::arange(dim / 2));
  const at::Tensor angles = at::outer(at::arange(places), frequencies);
  return at::cat({angles.cos(), angles.sin()}, 1);
}

} // namespace fairy2::trainer
