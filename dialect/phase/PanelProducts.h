// SPDX-License-Identifier: Apache-2.0
//
// Rows of lanes times matrices of moments, a panel of columns at a time. A part
// of PhaseCoder.cpp.
#pragma once

#include "dialect/phase/BlockChoice.h"
#include "dialect/phase/PhaseCoder.h"

#include <algorithm>
#include <vector>

namespace fairy2 {

constexpr int64_t kPanel = 8; ///< columns whose products are found at once

/// A panel of a matrix of moments, [count][kPanel], so that what a loop over
/// `count` reads is one stream.
class PackedPanel {
public:
  template <typename ValueAt>
  PackedPanel(int64_t count, int64_t width, const ValueAt &valueAt)
      : values(size_t(count * kPanel)), count(count) {
    for (int64_t c = 0; c < count; ++c)
      for (int64_t p = 0; p < width; ++p)
        values[size_t(c * kPanel + p)] = valueAt(c, p);
  }

  /// sums[p] = sum over c of row[c] panel[c][p].
  void times(const Lanes *row, Lanes *sums) const {
    Lanes held[kPanel] = {};
    const float *from = values.data();
    for (int64_t c = 0; c < count; ++c, from += kPanel) {
      const Lanes value = row[c];
      for (int64_t p = 0; p < kPanel; ++p)
        held[p] += value * from[p];
    }
    std::copy_n(held, kPanel, sums);
  }

private:
  std::vector<float> values;
  int64_t count;
};

/// body(first column, width) for the panels of so many columns, from the last
/// or the first on.
template <typename Body>
void forPanels(int64_t columns, bool backwards, const Body &body) {
  const int64_t count = (columns + kPanel - 1) / kPanel;
  for (int64_t k = 0; k < count; ++k) {
    const int64_t begin = (backwards ? count - 1 - k : k) * kPanel;
    body(begin, std::min(kPanel, columns - begin));
  }
}

/// Makes D H^-1 of D, [rows][columns in the order of coding].
void divideByMoments(const InputMetric &inputs, int64_t rows,
                     std::vector<Lanes> &d);

} // namespace fairy2
