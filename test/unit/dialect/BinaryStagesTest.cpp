// SPDX-License-Identifier: Apache-2.0
//
// Binary stages and the int8 grid against their definitions, by trying all
// codes and in double precision.
#include "dialect/phase/Packing.h"
#include "dialect/phase/ScaleGrid.h"
#include "runtime/support/Error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <random>
#include <thread>

using namespace fairy2;

namespace {

constexpr ScaleGranularity kGranularities[] = {
    ScaleGranularity::Tensor, ScaleGranularity::Row, ScaleGranularity::Tile};

PhaseScheme binary(int stages, ScaleGranularity scales,
                   ScaleGrid grid = ScaleGrid::Float) {
  return {stages, scales, QuantizeMode::Canonical, StageScales::Binary, grid};
}

/// Weights whose tails are as heavy as those of networks.
std::vector<float> heavyTails(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::student_t_distribution<float> t(4);
  std::vector<float> a(count);
  for (float &v : a)
    v = 0.02f * t(random);
  return a;
}

double squaredDistance(const std::vector<float> &a,
                       const std::vector<float> &b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return sum;
}

/// The sum of codes, with scales s 2^(T-1-t); `codes` has two bits a stage.
std::complex<double> valueOf(int codes, int stages, double s) {
  std::complex<double> sum;
  for (int t = 0; t < stages; ++t) {
    const Phase p = Phase(codes >> 2 * t & 3);
    sum += s * double(1 << (stages - 1 - t)) *
           std::complex<double>(realPart(p), imagPart(p));
  }
  return sum;
}

/// The squared distance of `u` from the nearest of all sums of codes.
double nearestDistance(std::complex<double> u, int stages, double s) {
  double least = std::norm(u - valueOf(0, stages, s));
  for (int codes = 1; codes < 1 << 2 * stages; ++codes)
    least = std::min(least, std::norm(u - valueOf(codes, stages, s)));
  return least;
}

TEST(BinaryStagesTest, LevelsAreTheNearestOfAllCodes) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int stages = 1; stages <= 6; ++stages)
    for (int i = 0; i < 200; ++i) {
      const float s = 1.f / float(1 << stages);
      const float re = normal(random), im = normal(random);
      const int level0 = gridLevel((re - im) / (2 * s), stages);
      const int level1 = gridLevel((re + im) / (2 * s), stages);
      int codes = 0;
      for (int t = 0; t < stages; ++t)
        codes |= int(phaseOfLevels(level0, level1, t, stages)) << 2 * t;
      const std::complex<double> u(re, im), found = valueOf(codes, stages, s);
      EXPECT_NEAR(std::norm(u - found), nearestDistance(u, stages, s), 1e-6);
      EXPECT_NEAR(found.real() - found.imag(),
                  2 * s * gridValue(level0, stages), 1e-6);
      EXPECT_NEAR(found.real() + found.imag(),
                  2 * s * gridValue(level1, stages), 1e-6);
    }
}

TEST(BinaryStagesTest, HalfwayGoesUpAndTheRestIsClipped) {
  EXPECT_EQ(gridLevel(0, 2), 2);
  EXPECT_EQ(gridLevel(-0.f, 2), 2);
  EXPECT_EQ(gridLevel(-0.001f, 2), 1);
  EXPECT_EQ(gridLevel(1, 2), 3);
  EXPECT_EQ(gridLevel(7, 2), 3);
  EXPECT_EQ(gridLevel(-7, 2), 0);
  EXPECT_EQ(gridLevel(std::numeric_limits<float>::infinity(), 8), 255);
  EXPECT_EQ(gridLevel(std::numeric_limits<float>::quiet_NaN(), 8), 0);
}

constexpr double kHalfSteps[] = {0.7979,  0.49785, 0.293,   0.1676,
                                 0.09405, 0.05205, 0.02845, 0.0154};
constexpr double kMultiples[] = {0.6, 0.7, 0.8, 0.9, 1, 1.15, 1.3, 1.5, 1.8,
                                 2.2, 2.8, 3.5, 4.5, 6, 8,    11,  15};

/// The squared error of A, [2n, 2m] over `factors`, with every entry at the
/// nearest of all codes, and that after the best of all units.
struct Oracle {
  int64_t n, m;
  std::vector<double> a;
  int stages;

  std::complex<double> u(int64_t i, int64_t j) const {
    return std::complex(at(i, j) + at(n + i, m + j),
                        at(n + i, j) - at(i, m + j)) /
           2.;
  }
  std::complex<double> w(int64_t i, int64_t j) const {
    return std::complex(at(i, j) - at(n + i, m + j),
                        at(n + i, j) + at(i, m + j)) /
           2.;
  }
  double at(int64_t row, int64_t column) const {
    return a[size_t(row * 2 * m + column)];
  }
  /// |A|^2 = 2 (|U|^2 + |W|^2), and errors likewise.
  double error(double s) const {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < m; ++j)
        sum += nearestDistance(u(i, j), stages, s) +
               nearestDistance(w(i, j), stages, s);
    return 2 * sum;
  }
};

TEST(BinaryStagesTest, TensorsFindTheBestMultipleAndFitIt) {
  const int64_t n = 9, m = 14;
  const std::vector<float> a = heavyTails(4 * n * m, 3);
  for (int stages = 1; stages <= 4; ++stages) {
    const Oracle oracle{n, m, {a.begin(), a.end()}, stages};
    double norm = 0;
    for (float v : a)
      norm += double(v) * v;
    double least = norm;
    for (double multiple : kMultiples)
      least =
          std::min(least, oracle.error(kHalfSteps[stages - 1] * multiple *
                                       std::sqrt(norm / double(4 * n * m))));
    const PhaseMatrix q = quantizePhases(
        a.data(), 2 * n, 2 * m, binary(stages, ScaleGranularity::Tensor), "a");
    const std::vector<float> dense = dequantizePhases(q);
    // The unit that is fitted to the codes leaves less than the one tried, and
    // no change of it leaves less still.
    const double found = squaredDistance(a, dense);
    EXPECT_LE(found, least * 1.00001);
    EXPECT_GE(found, least * 0.8);
    for (float change : {0.999f, 1.001f}) {
      std::vector<float> other = dense;
      for (float &v : other)
        v *= change;
      EXPECT_GT(squaredDistance(a, other), found);
    }
    for (int set = 0; set < q.sets(); ++set) {
      EXPECT_EQ(q.scales[set].re, q.scales[0].re / float(1 << set / 2));
      EXPECT_EQ(q.scales[set].im, q.scales[set].re);
    }
  }
}

std::vector<double> rootMeanSquares(const std::vector<float> &a,
                                    int64_t columns) {
  std::vector<double> roots;
  for (size_t row = 0; row < a.size(); row += size_t(columns)) {
    double sum = 0;
    for (int64_t j = 0; j < columns; ++j)
      sum += double(a[row + j]) * a[row + j];
    roots.push_back(std::sqrt(sum / double(columns)));
  }
  return roots;
}

/// What rows over their root mean squares lose at the unit for normal values.
double errorOfRootMeanSquares(const std::vector<float> &a, int64_t n, int64_t m,
                              int stages) {
  const std::vector<double> roots = rootMeanSquares(a, 2 * m);
  const double s = kHalfSteps[stages - 1];
  double sum = 0;
  auto rounded = [&](double r) {
    const double top = double((1 << stages) - 1);
    return s * std::clamp(2 * std::floor(r / (2 * s)) + 1, -top, top);
  };
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) {
      const double f = roots[i], g = roots[n + i];
      const double a11 = a[i * 2 * m + j] / f, a12 = a[i * 2 * m + m + j] / f;
      const double a21 = a[(n + i) * 2 * m + j] / g,
                   a22 = a[(n + i) * 2 * m + m + j] / g;
      const double uRe = (a11 + a22) / 2, uIm = (a21 - a12) / 2;
      const double wRe = (a11 - a22) / 2, wIm = (a21 + a12) / 2;
      const double r0 = rounded(uRe - uIm), r1 = rounded(uRe + uIm),
                   r2 = rounded(wRe - wIm), r3 = rounded(wRe + wIm);
      for (double e : {f * (a11 - (r0 + r1 + r2 + r3) / 2),
                       f * (a12 - (r0 - r1 - r2 + r3) / 2),
                       g * (a21 - (-r0 + r1 - r2 + r3) / 2),
                       g * (a22 - (r0 + r1 - r2 - r3) / 2)})
        sum += e * e;
    }
  return sum;
}

TEST(BinaryStagesTest, SearchedFactorsAreNeverWorseThanRootMeanSquares) {
  const int64_t n = 24, m = 40;
  for (uint32_t seed = 0; seed < 5; ++seed)
    for (int stages = 1; stages <= 8; ++stages) {
      const std::vector<float> a = heavyTails(4 * n * m, seed);
      QuantizationError found;
      quantizePhases(a.data(), 2 * n, 2 * m,
                     binary(stages, ScaleGranularity::Row), "a", serialFor, {},
                     &found);
      EXPECT_LE(found.error, errorOfRootMeanSquares(a, n, m, stages) * 1.00001);
    }
}

/// Rows with one giant weight that is clipped ruin networks.
TEST(BinaryStagesTest, GiantWeightsAreNotClipped) {
  const int64_t n = 8, m = 192;
  std::vector<float> a = heavyTails(4 * n * m, 5);
  float &giant = a[3 * 2 * m + 17];
  giant = 2; // a hundred times the others
  const PhaseMatrix q = quantizePhases(a.data(), 2 * n, 2 * m,
                                       binary(4, ScaleGranularity::Row), "a");
  const float found = dequantizePhases(q)[3 * 2 * m + 17];
  EXPECT_NEAR(found / giant, 1, 0.15);
  // With its row's root mean square for a factor, at most this is left of it.
  const double root = rootMeanSquares(a, 2 * m)[3];
  EXPECT_LT(2 * 15 * kHalfSteps[3] * root / giant, 0.3);
  // Its partner keeps a factor of its own: with one for both it loses 0.124
  // of its squared norm, where other rows lose 0.018.
  auto lossOf = [&](int64_t row) {
    const std::vector<float> dense = dequantizePhases(q);
    double loss = 0, norm = 0;
    for (int64_t j = row * 2 * m; j < (row + 1) * 2 * m; ++j) {
      loss += (double(a[j]) - dense[j]) * (double(a[j]) - dense[j]);
      norm += double(a[j]) * a[j];
    }
    return loss / norm;
  };
  EXPECT_LT(lossOf(n + 3), 0.08);
}

TEST(BinaryStagesTest, RowsOfZerosStayZero) {
  const int64_t n = 3, m = 8;
  std::vector<float> a = heavyTails(4 * n * m, 5);
  std::fill(a.begin() + 2 * m, a.begin() + 4 * m, 0.f);
  const PhaseMatrix q = quantizePhases(a.data(), 2 * n, 2 * m,
                                       binary(2, ScaleGranularity::Row), "a");
  EXPECT_EQ(q.rowFactors[1], 0);
  for (ScaleGranularity scales : kGranularities) {
    std::fill(a.begin(), a.end(), 0.f);
    const std::vector<float> dense = dequantizePhases(
        quantizePhases(a.data(), 2 * n, 2 * m, binary(3, scales), "a"));
    for (float v : dense)
      EXPECT_NEAR(v, 0, 1e-4);
  }
}

/// Every tile is quantized as if it were a matrix of its own.
TEST(BinaryStagesTest, TilesAreMatricesOfTheirOwn) {
  const int64_t n = 70, m = 80, width = 2 * m;
  const std::vector<float> a = heavyTails(4 * n * m, 17);
  const std::vector<float> dense = dequantizePhases(quantizePhases(
      a.data(), 2 * n, width, binary(3, ScaleGranularity::Tile), "a"));
  const int64_t h = n - kScaleTile, w = m - kScaleTile;
  std::vector<float> part, expected;
  for (int64_t i = 0; i < 2 * n; ++i)
    for (int64_t j = 0; j < width; ++j)
      if (i % n >= kScaleTile && j % m >= kScaleTile) {
        part.push_back(a[i * width + j]);
        expected.push_back(dense[i * width + j]);
      }
  EXPECT_EQ(dequantizePhases(quantizePhases(part.data(), 2 * h, 2 * w,
                                            binary(3, ScaleGranularity::Tensor),
                                            "part")),
            expected);
}

TEST(BinaryStagesTest, ResultDoesNotDependOnThePartition) {
  const int64_t rows = 150, columns = 134;
  const std::vector<float> a = heavyTails(rows * columns, 11);
  const ParallelFor threaded = [](int64_t count, const auto &body) {
    std::vector<std::thread> threads;
    for (int64_t t = 0; t < 3; ++t)
      threads.emplace_back(
          [&, t] { body(count * t / 3, count * (t + 1) / 3); });
    for (std::thread &t : threads)
      t.join();
  };
  for (ScaleGranularity scales : kGranularities) {
    const PhaseScheme scheme = binary(4, scales, ScaleGrid::Int8);
    const PhaseMatrix q = quantizePhases(a.data(), rows, columns, scheme, "a");
    const PhaseMatrix r =
        quantizePhases(a.data(), rows, columns, scheme, "a", threaded);
    EXPECT_EQ(q.codes, r.codes);
    EXPECT_EQ(q.rowFactors, r.rowFactors);
    EXPECT_EQ(q.units, r.units);
    EXPECT_EQ(q.integers, r.integers);
  }
}

TEST(BinaryStagesTest, ErrorIsThatOfTheDenseMatrix) {
  const int64_t rows = 140, columns = 136;
  const std::vector<float> a = heavyTails(rows * columns, 23);
  for (StageScales stageScales : kStageScales)
    for (ScaleGrid grid : kScaleGrids)
      for (ScaleGranularity scales : kGranularities) {
        QuantizationError found;
        const std::vector<float> dense = dequantizePhases(quantizePhases(
            a.data(), rows, columns,
            {3, scales, QuantizeMode::Canonical, stageScales, grid}, "a",
            serialFor, {}, &found));
        EXPECT_NEAR(found.error / squaredDistance(a, dense), 1, 1e-4);
        EXPECT_NEAR(found.norm /
                        squaredDistance(a, std::vector<float>(a.size())),
                    1, 1e-9);
      }
}

/// A matrix over its factors and unit is one of signed bytes.
TEST(ScaleGridTest, MatrixIsBytesTimesTheUnit) {
  const int64_t n = 66, m = 70;
  const std::vector<float> a = heavyTails(4 * n * m, 29);
  for (StageScales stageScales : kStageScales)
    for (int stages : {1, 2, 4, 6})
      for (ScaleGranularity scales : kGranularities) {
        PhaseMatrix q = quantizePhases(a.data(), 2 * n, 2 * m,
                                       {stages, scales, QuantizeMode::Canonical,
                                        stageScales, ScaleGrid::Int8},
                                       "a");
        ASSERT_EQ(q.integers.size(), q.scales.size());
        for (size_t i = 0; i < q.scales.size(); ++i) {
          const float unit = q.units[i / size_t(q.sets())];
          EXPECT_EQ(q.scales[i].re, unit * float(q.integers[i].re));
          EXPECT_EQ(q.scales[i].im, unit * float(q.integers[i].im));
          // In place of the scales, so that entries are whole numbers.
          q.scales[i] = {float(q.integers[i].re), float(q.integers[i].im)};
        }
        q.rowFactors.clear();
        float largest = 0;
        for (float v : dequantizePhases(q)) {
          EXPECT_EQ(v, std::floor(v));
          largest = std::max(largest, std::fabs(v));
        }
        EXPECT_LE(largest, 127);
      }
}

TEST(ScaleGridTest, UnitIsTheBestOfAFineScan) {
  const std::vector<float> a = heavyTails(64 * 64, 31);
  for (int stages : {1, 2, 3, 4}) {
    const PhaseMatrix means = quantizePhases(a.data(), 64, 64, {stages}, "a");
    PhaseMatrix rounded = means;
    roundScalesToGrid(rounded);
    EXPECT_EQ(rounded.codes, means.codes);
    auto distance = [&](double unit, bool &fits) {
      double sum = 0, largest = 0;
      for (int set = 0; set < means.sets(); ++set) {
        double larger = 0;
        for (float s : {means.scales[set].re, means.scales[set].im}) {
          const double c = std::max(1., std::round(s / unit));
          sum += (s - c * unit) * (s - c * unit);
          larger = std::max(larger, c);
        }
        largest += larger;
      }
      fits = largest <= 127;
      return sum;
    };
    double sum = 0, least = 1e9;
    for (const AxisScales &s : means.scales)
      sum += std::max(s.re, s.im);
    for (double step = 1; step <= 2; step += 1e-5) {
      bool fits;
      const double d = distance(sum / 127 * step, fits);
      if (fits)
        least = std::min(least, d);
    }
    bool fits;
    EXPECT_LE(distance(rounded.units[0], fits), 1.2 * least + 1e-12);
    EXPECT_TRUE(fits);
  }
}

TEST(ScaleGridTest, FaultsAreNamed) {
  const std::vector<AxisIntegers> good = {{2, 2}, {2, 2}, {1, 1}, {1, 1}};
  EXPECT_EQ(gridFault(0.5f, good, StageScales::Binary), "");
  EXPECT_EQ(gridFault(0, good, StageScales::Mean),
            "expected a positive unit, found 0.000000");
  EXPECT_EQ(gridFault(std::nanf(""), good, StageScales::Mean),
            "expected a positive unit, found nan");
  std::vector<AxisIntegers> bad = good;
  bad[2].im = 0;
  EXPECT_EQ(gridFault(1, bad, StageScales::Mean),
            "expected integers from 1 to 127, found 0");
  bad[2].im = 3;
  EXPECT_EQ(gridFault(1, bad, StageScales::Mean), "");
  EXPECT_EQ(gridFault(1, bad, StageScales::Binary),
            "expected 1 at stage 1 of binary stages, found 3");
  bad[0].re = 122;
  EXPECT_EQ(gridFault(1, bad, StageScales::Mean),
            "expected integers whose matrix has entries of at most 127, found "
            "128");
}

TEST(ScaleGridTest, SchemesThatCannotBeAreRefused) {
  std::vector<float> a(16, 1.f);
  auto message = [&](PhaseScheme scheme) -> std::string {
    try {
      quantizePhases(a.data(), 4, 4, scheme, "up_proj");
    } catch (const Error &error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(binary(7, ScaleGranularity::Row)), "");
  EXPECT_EQ(message(binary(6, ScaleGranularity::Row, ScaleGrid::Int8)), "");
  EXPECT_EQ(message(binary(7, ScaleGranularity::Row, ScaleGrid::Int8)),
            "up_proj: expected at most 6 binary stages on the scale grid int8, "
            "or the grid float, found 7");
  PhaseScheme official = binary(2, ScaleGranularity::Tensor);
  official.mode = QuantizeMode::OfficialBF16;
  EXPECT_EQ(message(official),
            "up_proj: expected stage scales mean on the grid float in official "
            "mode, found binary on the grid float");
}

} // namespace
