// SPDX-License-Identifier: Apache-2.0
//
// The quantizer of binary stages: r0 .. r3 of every complex entry rounded to
// odd multiples of a unit, which a search and a least-squares fit choose.
#include "dialect/phase/BinaryStages.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>

namespace fairy2 {
namespace {

/// From this multiple on a row has weights that stand out, and its partner gets
/// a factor of its own. For other pairs that only lowers the error of weights:
/// stories260K at 3 stages loses 0.16 nats by it.
constexpr float kOutlierMultiple = 1.5f;

/// Which of kScaleMultiples has the least error; of equal ones the first.
template <typename ErrorOf> size_t bestMultiple(const ErrorOf &errorOf) {
  size_t best = 0;
  double least = errorOf(0);
  for (size_t k = 1; k < kScaleMultiples.size(); ++k)
    if (const double error = errorOf(k); error < least) {
      best = k;
      least = error;
    }
  return best;
}

/// <A', A> and <A', A'>, of which the least-squares factor is made.
struct FitSums {
  double product = 0, norm = 0;

  /// Twice p of A', and p of A: a11 and a12 are p +- q, so that their products
  /// add up to twice those of p and q.
  void add(float twiceCoded, float value) {
    product += double(twiceCoded) * value;
    norm += double(twiceCoded * twiceCoded) / 2;
  }
  /// Of rows that a factor multiplies once more.
  void add(const FitSums &other, double factor) {
    product += factor * other.product;
    norm += factor * factor * other.norm;
  }
  float factor() const { return norm > 0 ? float(product / norm) : 0; }
  /// Of squared errors, where `factor` is the one.
  double change(double factor) const {
    return factor * (factor * norm - 2 * product);
  }
};

/// A complex row of A in the coordinates that make r: r0 = p + r, r3 = p - r,
/// r1 = q + s, r2 = q - s, with p, q of the real row i and r, s of n + i.
struct RowPair {
  const float *p, *q, *r, *s;
};

float inverse(float step) { return step == 0 ? 0 : 1 / step; }

/// The squared error of columns [begin, end) of both rows rounded with steps
/// 2 u f, where f are their factors.
double roundingError(const RowPair &row, int64_t begin, int64_t end, int stages,
                     float topStep, float bottomStep) {
  constexpr int64_t kLanes = 16; // so that the sums are the same on all CPUs
  const float a = inverse(topStep), b = inverse(bottomStep);
  float top[kLanes] = {}, bottom[kLanes] = {};
  auto add = [&](int64_t j, int64_t lane) {
    const float p = row.p[j] * a, q = row.q[j] * a;
    const float r = row.r[j] * b, s = row.s[j] * b;
    auto error = [&](float x) {
      return x - gridValue(gridLevel(x, stages), stages);
    };
    const float e0 = error(p + r), e3 = error(p - r);
    const float e1 = error(q + s), e2 = error(q - s);
    top[lane] += (e0 + e3) * (e0 + e3) + (e1 + e2) * (e1 + e2);
    bottom[lane] += (e0 - e3) * (e0 - e3) + (e1 - e2) * (e1 - e2);
  };
  int64_t j = begin;
  for (; j + kLanes <= end; j += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane)
      add(j + lane, lane);
  for (int64_t lane = 0; j < end; ++j, ++lane)
    add(j, lane);
  double topSum = 0, bottomSum = 0;
  for (int64_t lane = 0; lane < kLanes; ++lane) {
    topSum += top[lane];
    bottomSum += bottom[lane];
  }
  // (e0 + e3) / 2 is the error of p, and those of a11 and a12 are p +- q.
  return 0.5 *
         (topSum * topStep * topStep + bottomSum * bottomStep * bottomStep);
}

class BinaryStages {
public:
  BinaryStages(PhaseMatrix &q, const ParallelFor &parallelFor)
      : q(q), parallelFor(parallelFor), stages(q.scheme.stages),
        values(size_t(4 * q.rows * q.columns)), rowNorms(size_t(2 * q.rows)),
        units(size_t(q.tilesDown() * q.tilesAcross())) {}

  void read(const RowReader &readRows, const std::string &name) {
    const int64_t n = q.rows, m = q.columns;
    parallelFor(n, [&](int64_t begin, int64_t end) {
      std::vector<float> top(size_t(2 * m)), bottom(size_t(2 * m));
      for (int64_t i = begin; i < end; ++i) {
        readRows(i, i + 1, top.data());
        readRows(n + i, n + i + 1, bottom.data());
        requireFinite(name, i, 2 * m, top.data());
        requireFinite(name, n + i, 2 * m, bottom.data());
        rowNorms[i] = squaredNorm(top.data(), 2 * m);
        rowNorms[n + i] = squaredNorm(bottom.data(), 2 * m);
        float *p = values.data() + 4 * i * m;
        for (int64_t j = 0; j < m; ++j) {
          p[j] = (top[j] + top[m + j]) / 2;
          p[m + j] = (top[j] - top[m + j]) / 2;
          p[2 * m + j] = (bottom[m + j] - bottom[j]) / 2;
          p[3 * m + j] = (bottom[m + j] + bottom[j]) / 2;
        }
      }
    });
  }

  /// The factor of every row, for a unit that suits A' of unit deviation.
  void findFactors() {
    const int64_t n = q.rows, m = q.columns;
    q.rowFactors.resize(size_t(2 * n));
    units[0] = kNormalUnits[stages - 1];
    parallelFor(n, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        float rms[2];
        for (int part : {0, 1})
          rms[part] = float(std::sqrt(rowNorms[part * n + i] / double(2 * m)));
        auto errorOf = [&](size_t k, size_t l) {
          return roundingError(row(i), 0, m, stages,
                               2 * units[0] * rms[0] * kScaleMultiples[k],
                               2 * units[0] * rms[1] * kScaleMultiples[l]);
        };
        size_t top = bestMultiple([&](size_t k) { return errorOf(k, k); });
        size_t bottom = top;
        if (kScaleMultiples[top] >= kOutlierMultiple)
          for (int round = 0; round < 2; ++round) {
            top = bestMultiple([&](size_t k) { return errorOf(k, bottom); });
            bottom = bestMultiple([&](size_t k) { return errorOf(top, k); });
          }
        q.rowFactors[i] = rms[0] * kScaleMultiples[top];
        q.rowFactors[n + i] = rms[1] * kScaleMultiples[bottom];
      }
    });
  }

  /// The unit of every tile, for factors that are given or 1.
  void findUnits() {
    const int64_t across = q.tilesAcross(), m = q.columns;
    constexpr size_t kCount = kScaleMultiples.size();
    std::vector<double> rowSquares(size_t(q.rows * across));
    parallelFor(q.rows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j < m; ++j)
          rowSquares[i * across + j / q.tileColumns()] += squaredRotated(i, j);
    });
    std::vector<double> norms(units.size()), counts(units.size());
    forEachTile([&](int64_t i, int64_t begin, int64_t end, size_t tile) {
      norms[tile] += rowSquares[i * across + begin / q.tileColumns()];
      counts[tile] += double(2 * (end - begin));
    });
    for (size_t tile = 0; tile < units.size(); ++tile)
      units[tile] = kNormalUnits[stages - 1] *
                    float(std::sqrt(norms[tile] / counts[tile]));
    std::vector<std::array<double, kCount>> errors(size_t(q.rows * across));
    parallelFor(q.rows, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t t = 0; t < across; ++t) {
          const int64_t first = t * q.tileColumns();
          const int64_t last = std::min(first + q.tileColumns(), m);
          const float unit = units[i / q.tileRows() * across + t];
          for (size_t k = 0; k < kCount; ++k) {
            const float tried = 2 * unit * kScaleMultiples[k];
            errors[i * across + t][k] =
                roundingError(row(i), first, last, stages, tried * factor(i),
                              tried * factor(q.rows + i));
          }
        }
    });
    std::vector<std::array<double, kCount>> sums(units.size());
    forEachTile([&](int64_t i, int64_t begin, int64_t, size_t tile) {
      for (size_t k = 0; k < kCount; ++k)
        sums[tile][k] += errors[i * across + begin / q.tileColumns()][k];
    });
    for (size_t tile = 0; tile < units.size(); ++tile)
      units[tile] *= kScaleMultiples[bestMultiple(
          [&](size_t k) { return sums[tile][k]; })];
  }

  /// Rounds, and fits the factors of rows to the codes, or the units.
  void code(bool fitsFactors, QuantizationError *error) {
    const int64_t across = q.tilesAcross(), n = q.rows, m = q.columns;
    std::vector<FitSums> fits(size_t(2 * n * across));
    parallelFor(n, [&](int64_t begin, int64_t end) {
      std::vector<uint8_t> levels(size_t(4 * m));
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t t = 0; t < across; ++t) {
          const int64_t first = t * q.tileColumns();
          const int64_t last = std::min(first + q.tileColumns(), m);
          roundRow(i, first, last, units[i / q.tileRows() * across + t],
                   levels.data(), &fits[2 * (i * across + t)]);
        }
        setRowCodes(q, i, levels.data());
        if (fitsFactors)
          for (int part : {0, 1})
            q.rowFactors[part * n + i] = fits[2 * i + part].factor() / units[0];
      }
    });
    std::vector<FitSums> sums(units.size());
    forEachTile([&](int64_t i, int64_t begin, int64_t, size_t tile) {
      const FitSums *pair = &fits[2 * (i * across + begin / q.tileColumns())];
      sums[tile].add(pair[0], factor(i));
      sums[tile].add(pair[1], factor(n + i));
    });
    QuantizationError total;
    for (double norm : rowNorms)
      total.norm += norm;
    total.error = total.norm;
    for (size_t tile = 0; tile < units.size(); ++tile) {
      if (!fitsFactors)
        units[tile] = sums[tile].factor();
      units[tile] = std::max(units[tile], kSmallestScale);
      total.error += sums[tile].change(units[tile]);
    }
    setBinaryScales(q, units);
    if (error)
      *error = {total.norm, std::max(total.error, 0.)};
  }

private:
  RowPair row(int64_t i) const {
    const float *p = values.data() + 4 * i * q.columns;
    return {p, p + q.columns, p + 2 * q.columns, p + 3 * q.columns};
  }
  float factor(int64_t realRow) const {
    return q.rowFactors.empty() ? 1 : q.rowFactors[size_t(realRow)];
  }

  /// |p|^2 + |q|^2 + |r|^2 + |s|^2 of an entry of A over its factors.
  double squaredRotated(int64_t i, int64_t j) const {
    const RowPair r = row(i);
    auto square = [](float value, float factor) {
      const double over = overFactor(value, factor);
      return over * over;
    };
    const float top = factor(i), bottom = factor(q.rows + i);
    return square(r.p[j], top) + square(r.q[j], top) + square(r.r[j], bottom) +
           square(r.s[j], bottom);
  }

  /// body(complex row, its columns [begin, end), tile), row by row.
  template <typename Body> void forEachTile(const Body &body) const {
    for (int64_t i = 0; i < q.rows; ++i)
      for (int64_t j = 0; j < q.columns; j += q.tileColumns())
        body(i, j, std::min(j + q.tileColumns(), q.columns),
             size_t(i / q.tileRows() * q.tilesAcross() + j / q.tileColumns()));
  }

  /// Writes the levels of r0 .. r3 of these columns, and of both real rows the
  /// sums with A' over its unit.
  void roundRow(int64_t i, int64_t begin, int64_t end, float unit,
                uint8_t *levels, FitSums *sums) const {
    const RowPair from = row(i);
    const int64_t m = q.columns;
    const float a = inverse(2 * unit * factor(i));
    const float b = inverse(2 * unit * factor(q.rows + i));
    for (int64_t j = begin; j < end; ++j) {
      const float top[2] = {from.p[j], from.q[j]};
      const float bottom[2] = {from.r[j], from.s[j]};
      const float x[4] = {
          top[0] * a + bottom[0] * b, top[1] * a + bottom[1] * b,
          top[1] * a - bottom[1] * b, top[0] * a - bottom[0] * b};
      float r[4]; // over the unit
      for (int k = 0; k < 4; ++k) {
        const int level = gridLevel(x[k], stages);
        levels[k * m + j] = uint8_t(level);
        r[k] = 2 * gridValue(level, stages);
      }
      // p = (r0 + r3) / 2 and so on; whole numbers, without the halves.
      sums[0].add(r[0] + r[3], top[0]);
      sums[0].add(r[1] + r[2], top[1]);
      sums[1].add(r[0] - r[3], bottom[0]);
      sums[1].add(r[1] - r[2], bottom[1]);
    }
  }

  PhaseMatrix &q;
  const ParallelFor &parallelFor;
  const int stages;
  std::vector<float> values;    ///< [n][p, q, r, s][m]
  std::vector<double> rowNorms; ///< [2n]
  std::vector<float> units;     ///< [tile]
};

} // namespace

void setRowCodes(PhaseMatrix &q, int64_t i, const uint8_t *levels) {
  const int64_t m = q.columns;
  const int stages = q.scheme.stages;
  for (int t = 0; t < stages; ++t) {
    Phase *u = q.codes.data() + (2 * t * q.rows + i) * m;
    Phase *w = u + q.rows * m;
    for (int64_t j = 0; j < m; ++j) {
      u[j] = phaseOfLevels(levels[j], levels[m + j], t, stages);
      w[j] = phaseOfLevels(levels[2 * m + j], levels[3 * m + j], t, stages);
    }
  }
}

void setBinaryScales(PhaseMatrix &q, std::span<const float> units) {
  const bool isInteger = q.scheme.grid == ScaleGrid::Int8;
  if (isInteger)
    q.units.assign(units.begin(), units.end());
  for (size_t i = 0; i < q.scales.size(); ++i) {
    const int set = int(i % size_t(q.sets()));
    const int power = 1 << (q.scheme.stages - 1 - set / 2);
    const float scale = units[i / size_t(q.sets())] * float(power);
    q.scales[i] = {scale, scale};
    if (isInteger)
      q.integers.push_back({uint8_t(power), uint8_t(power)});
  }
}

void quantizeBinaryStages(PhaseMatrix &q, const RowReader &readRows,
                          const std::string &name,
                          const ParallelFor &parallelFor, bool derivesFactors,
                          QuantizationError *error) {
  BinaryStages stages(q, parallelFor);
  stages.read(readRows, name);
  if (derivesFactors)
    stages.findFactors();
  else
    stages.findUnits();
  stages.code(/*fitsFactors=*/derivesFactors, error);
}

} // namespace fairy2
