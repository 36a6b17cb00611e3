// SPDX-License-Identifier: Apache-2.0
//
// The quantizer's scalar definition and the sign-plane packing.
#include "dialect/Phase.h"

#include "dialect/Error.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace fairy2 {
namespace {

constexpr float kSmallestScale = 1e-6f;

/// Sums and counts of |component| on each axis, for U and W of one row.
struct AxisSums {
  double re = 0, im = 0;
  int64_t reCount = 0, imCount = 0;

  void add(Phase p, float re, float im) {
    if (realPart(p) != 0) {
      this->re += std::fabs(re);
      ++reCount;
    } else {
      this->im += std::fabs(im);
      ++imCount;
    }
  }
  void add(const AxisSums &other) {
    re += other.re;
    im += other.im;
    reCount += other.reCount;
    imCount += other.imCount;
  }
  AxisScales scales() const {
    auto mean = [](double sum, int64_t count) {
      return std::max(count ? float(sum / double(count)) : 0.f, kSmallestScale);
    };
    return {mean(re, reCount), mean(im, imCount)};
  }
};

/// Component of the code's value with its scale, to subtract or to sum.
void scaledPhase(Phase p, AxisScales s, float &re, float &im) {
  re = s.re * float(realPart(p));
  im = s.im * float(imagPart(p));
}

void requireFinite(const std::string &name, int64_t firstRow, int64_t columns,
                   int64_t rows, const float *values) {
  for (int64_t i = 0; i < rows * columns; ++i)
    if (!std::isfinite(values[i]))
      throw Error(name + ": expected finite values, found " +
                  (std::isnan(values[i]) ? "NaN" : "infinity") + " at row " +
                  std::to_string(firstRow + i / columns) + ", column " +
                  std::to_string(i % columns));
}

} // namespace

void serialFor(int64_t count,
               const std::function<void(int64_t, int64_t)> &body) {
  body(0, count);
}

Phase nearestPhase(float re, float im) {
  const float magnitudeRe = std::fabs(re), magnitudeIm = std::fabs(im);
  bool real = magnitudeRe > magnitudeIm;
  if (magnitudeRe == magnitudeIm)
    real = re == 0 || (re > 0) != (im > 0);
  if (real)
    return re >= 0 ? Phase::One : Phase::MinusOne;
  return im > 0 ? Phase::I : Phase::MinusI;
}

PhaseMatrix quantizePhases(const float *a, int64_t realRows,
                           int64_t realColumns, int stages,
                           const std::string &name,
                           const ParallelFor &parallelFor) {
  const RowReader readRows = [&](int64_t begin, int64_t end, float *out) {
    std::copy(a + begin * realColumns, a + end * realColumns, out);
  };
  return quantizePhases(readRows, realRows, realColumns, stages, name,
                        parallelFor);
}

PhaseMatrix quantizePhases(const RowReader &readRows, int64_t realRows,
                           int64_t realColumns, int stages,
                           const std::string &name,
                           const ParallelFor &parallelFor) {
  if (realRows % 2 || realColumns % 2)
    throw Error(name + ": expected even extents to pair rows and columns as "
                       "complex numbers, found " +
                std::to_string(realRows) + " x " + std::to_string(realColumns));
  PhaseMatrix q;
  q.rows = realRows / 2;
  q.columns = realColumns / 2;
  q.stages = stages;
  const int64_t n = q.rows, m = q.columns;
  q.codes.resize(size_t(q.sets()) * n * m);
  q.scales.resize(q.sets());

  // The residuals of U and W, which each stage makes smaller.
  std::vector<WidelyLinear> residual(size_t(n) * m);
  parallelFor(n, [&](int64_t begin, int64_t end) {
    constexpr int64_t kRows = 16;
    std::vector<float> top(kRows * realColumns), bottom(kRows * realColumns);
    for (int64_t first = begin; first < end; first += kRows) {
      const int64_t count = std::min(kRows, end - first);
      readRows(first, first + count, top.data());
      readRows(n + first, n + first + count, bottom.data());
      requireFinite(name, first, realColumns, count, top.data());
      requireFinite(name, n + first, realColumns, count, bottom.data());
      for (int64_t i = 0; i < count; ++i) {
        const float *a1 = top.data() + i * realColumns;
        const float *a2 = bottom.data() + i * realColumns;
        for (int64_t j = 0; j < m; ++j)
          residual[(first + i) * m + j] =
              toWidelyLinear(a1[j], a1[m + j], a2[j], a2[m + j]);
      }
    }
  });

  struct RowSums {
    AxisSums u, w;
  };
  std::vector<RowSums> rowSums(n);
  for (int stage = 0; stage < stages; ++stage) {
    Phase *uCodes = q.codes.data() + size_t(2 * stage) * n * m;
    Phase *wCodes = uCodes + size_t(n) * m;
    parallelFor(n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        RowSums sums;
        for (int64_t j = i * m; j < (i + 1) * m; ++j) {
          const WidelyLinear &r = residual[j];
          uCodes[j] = nearestPhase(r.uRe, r.uIm);
          wCodes[j] = nearestPhase(r.wRe, r.wIm);
          sums.u.add(uCodes[j], r.uRe, r.uIm);
          sums.w.add(wCodes[j], r.wRe, r.wIm);
        }
        rowSums[i] = sums;
      }
    });
    RowSums total;
    for (const RowSums &row : rowSums) {
      total.u.add(row.u);
      total.w.add(row.w);
    }
    const AxisScales u = q.scales[2 * stage] = total.u.scales();
    const AxisScales w = q.scales[2 * stage + 1] = total.w.scales();
    if (stage + 1 == stages)
      break;
    parallelFor(n, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin * m; j < end * m; ++j) {
        float re, im;
        scaledPhase(uCodes[j], u, re, im);
        residual[j].uRe -= re;
        residual[j].uIm -= im;
        scaledPhase(wCodes[j], w, re, im);
        residual[j].wRe -= re;
        residual[j].wIm -= im;
      }
    });
  }
  return q;
}

std::vector<float> dequantizePhases(const PhaseMatrix &q) {
  const int64_t n = q.rows, m = q.columns;
  std::vector<float> a(size_t(4) * n * m);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) {
      WidelyLinear sum{};
      for (int t = 0; t < q.stages; ++t) {
        float re, im;
        scaledPhase(q.set(2 * t)[i * m + j], q.scales[2 * t], re, im);
        sum.uRe += re;
        sum.uIm += im;
        scaledPhase(q.set(2 * t + 1)[i * m + j], q.scales[2 * t + 1], re, im);
        sum.wRe += re;
        sum.wIm += im;
      }
      float *top = a.data() + i * 2 * m, *bottom = top + n * 2 * m;
      top[j] = sum.uRe + sum.wRe;
      top[m + j] = sum.wIm - sum.uIm;
      bottom[j] = sum.wIm + sum.uIm;
      bottom[m + j] = sum.uRe - sum.wRe;
    }
  return a;
}

void packSignPlanes(const PhaseMatrix &q, uint8_t *out) {
  using L = SignPlaneLayout;
  const L layout{q.rows, q.columns, q.sets()};
  // Bits p (low) and q (high) of each code, at bit 0 and 4.
  constexpr std::array<uint8_t, 4> kBits = {0x11, 0x01, 0x00, 0x10};
  const int64_t n = q.rows, m = q.columns;
  std::fill(out, out + layout.bytes(), uint8_t(0xff));
  for (int64_t row = 0; row < n; ++row)
    for (int s = 0; s < layout.sets; ++s) {
      const Phase *codes = q.set(s) + row * m;
      uint8_t *to = out + row / L::kTileRows * layout.tileBytes() +
                    s * layout.setBytes() + row % L::kTileRows;
      for (int64_t group = 0; group * L::kGroupColumns < m; ++group) {
        uint8_t byte = 0;
        for (int64_t b = 0; b < L::kGroupColumns; ++b) {
          const int64_t column = group * L::kGroupColumns + b;
          byte |= kBits[uint8_t(column < m ? codes[column] : Phase::One)] << b;
        }
        to[group * L::kTileRows] = byte;
      }
    }
}

Phase unpackSignPlanes(const SignPlaneLayout &layout, const uint8_t *packed,
                       int set, int64_t row, int64_t column) {
  using L = SignPlaneLayout;
  const uint8_t byte =
      packed[row / L::kTileRows * layout.tileBytes() + set * layout.setBytes() +
             column / L::kGroupColumns * L::kTileRows + row % L::kTileRows];
  const int bit = int(column % L::kGroupColumns);
  const bool p = byte >> bit & 1, q = byte >> (4 + bit) & 1;
  if (p)
    return q ? Phase::One : Phase::I;
  return q ? Phase::MinusI : Phase::MinusOne;
}

} // namespace fairy2
