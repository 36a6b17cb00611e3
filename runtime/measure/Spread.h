// SPDX-License-Identifier: Apache-2.0
//
// What repeated measurements are told by.
#pragma once

#include <algorithm>
#include <vector>

namespace fairy2 {

struct Spread {
  double min = 0, median = 0, max = 0;
};

/// Of at least one value.
inline Spread spreadOf(std::vector<double> values) {
  std::ranges::sort(values);
  return {values.front(), values[values.size() / 2], values.back()};
}

} // namespace fairy2
