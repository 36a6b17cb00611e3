// SPDX-License-Identifier: Apache-2.0
//
// Substitution with the Cholesky factor, forwards and back.
#include "dialect/phase/PanelProducts.h"

namespace fairy2 {

void divideByMoments(const InputMetric &inputs, int64_t rows,
                     std::vector<Lanes> &d) {
  const int64_t columns = inputs.columns();
  Lanes sums[kPanel];
  // D (L L^T)^-1: first D L^-T, then that L^-1.
  const float *lower = inputs.factor();
  forPanels(columns, false, [&](int64_t begin, int64_t width) {
    const PackedPanel before(begin, width, [&](int64_t c, int64_t p) {
      return lower[(begin + p) * columns + c];
    });
    for (int64_t r = 0; r < rows; ++r) {
      Lanes *row = &d[size_t(r * columns)];
      before.times(row, sums);
      for (int64_t p = 0; p < width; ++p) {
        const float *of = lower + (begin + p) * columns + begin;
        Lanes value = row[begin + p] - sums[p];
        for (int64_t k = 0; k < p; ++k)
          value -= row[begin + k] * of[k];
        row[begin + p] = value / of[p];
      }
    }
  });
  forPanels(columns, true, [&](int64_t begin, int64_t width) {
    const int64_t end = begin + width;
    const PackedPanel behind(columns - end, width, [&](int64_t c, int64_t p) {
      return lower[(end + c) * columns + begin + p];
    });
    for (int64_t r = 0; r < rows; ++r) {
      Lanes *row = &d[size_t(r * columns)];
      behind.times(row + end, sums);
      for (int64_t p = width - 1; p >= 0; --p) {
        Lanes value = row[begin + p] - sums[p];
        for (int64_t k = p + 1; k < width; ++k)
          value -= row[begin + k] * lower[(begin + k) * columns + begin + p];
        row[begin + p] = value / lower[(begin + p) * (columns + 1)];
      }
    }
  });
}

} // namespace fairy2
