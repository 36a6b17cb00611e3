// SPDX-License-Identifier: Apache-2.0
//
// The phase group, the quantizer and the packing against their definitions in
// dialect/README.md, worked out independently in double precision.
#include "dialect/phase/Phase.h"
#include "runtime/support/Error.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <complex>
#include <fstream>
#include <limits>
#include <random>
#include <thread>

using namespace fairy2;

namespace {

std::vector<float> randomMatrix(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.05f);
  std::vector<float> a(count);
  for (float &v : a)
    v = normal(random);
  return a;
}

TEST(PhaseTest, NearestPhaseHasTheLargestInnerProduct) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (int i = 0; i < 10000; ++i) {
    const float re = normal(random), im = normal(random);
    const Phase p = nearestPhase(re, im);
    const double got = double(re) * realPart(p) + double(im) * imagPart(p);
    for (int k = 0; k < 4; ++k)
      EXPECT_GE(got, double(re) * realPart(Phase(k)) +
                         double(im) * imagPart(Phase(k)));
  }
}

TEST(PhaseTest, TiesAndZerosFollowTheRule) {
  EXPECT_EQ(nearestPhase(1, 1), Phase::I);
  EXPECT_EQ(nearestPhase(-1, -1), Phase::MinusI);
  EXPECT_EQ(nearestPhase(-1, 1), Phase::MinusOne);
  EXPECT_EQ(nearestPhase(1, -1), Phase::One);
  for (float re : {0.f, -0.f})
    for (float im : {0.f, -0.f})
      EXPECT_EQ(nearestPhase(re, im), Phase::One);
}

TEST(PhaseTest, WidelyLinearFormIsTheSameMap) {
  const std::vector<float> a = {1, 2, 3, 4}, x = {5, -7};
  const WidelyLinear wl = toWidelyLinear(a[0], a[1], a[2], a[3]);
  const std::complex<float> u(wl.uRe, wl.uIm), w(wl.wRe, wl.wIm), z(x[0], x[1]);
  const std::complex<float> y = u * z + w * std::conj(z);
  EXPECT_FLOAT_EQ(y.real(), a[0] * x[0] + a[1] * x[1]);
  EXPECT_FLOAT_EQ(y.imag(), a[2] * x[0] + a[3] * x[1]);
}

/// The quantizer once more, as plainly as the definition reads: double means.
TEST(PhaseTest, ScalesAreAxisMeansOfTheResidual) {
  const int64_t rows = 12, columns = 20, n = rows / 2, m = columns / 2;
  const std::vector<float> a = randomMatrix(rows * columns, 7);
  const PhaseMatrix q = quantizePhases(a.data(), rows, columns, {3}, "a");
  std::vector<std::complex<float>> residual[2];
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) {
      const WidelyLinear wl = toWidelyLinear(
          a[i * columns + j], a[i * columns + m + j], a[(n + i) * columns + j],
          a[(n + i) * columns + m + j]);
      residual[0].emplace_back(wl.uRe, wl.uIm);
      residual[1].emplace_back(wl.wRe, wl.wIm);
    }
  for (int s = 0; s < q.sets(); ++s) {
    auto &r = residual[s % 2];
    double sum[2] = {};
    int64_t count[2] = {};
    for (int64_t j = 0; j < n * m; ++j) {
      const Phase p = q.set(s)[j];
      EXPECT_EQ(p, nearestPhase(r[j].real(), r[j].imag()));
      const bool imaginary = imagPart(p) != 0;
      sum[imaginary] += std::fabs(imaginary ? r[j].imag() : r[j].real());
      ++count[imaginary];
    }
    EXPECT_FLOAT_EQ(q.scales[s].re, float(sum[0] / count[0]));
    EXPECT_FLOAT_EQ(q.scales[s].im, float(sum[1] / count[1]));
    for (int64_t j = 0; j < n * m; ++j)
      r[j] -=
          std::complex<float>(q.scales[s].re * float(realPart(q.set(s)[j])),
                              q.scales[s].im * float(imagPart(q.set(s)[j])));
  }
}

TEST(PhaseTest, ErrorFallsWithEveryStage) {
  const int64_t rows = 64, columns = 96;
  const std::vector<float> a = randomMatrix(rows * columns, 3);
  double norm = 0, before = std::numeric_limits<double>::infinity();
  for (float v : a)
    norm += double(v) * v;
  for (int stages = 1; stages <= 8; ++stages) {
    const std::vector<float> b = dequantizePhases(
        quantizePhases(a.data(), rows, columns, {stages}, "a"));
    double error = 0;
    for (size_t i = 0; i < a.size(); ++i)
      error += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    EXPECT_LT(error, before);
    before = error;
    // Gaussian weights: 0.363, 0.130, 0.058, .. of the norm.
    if (stages == 1)
      EXPECT_NEAR(error / norm, 0.363, 0.03);
    if (stages == 2)
      EXPECT_NEAR(error / norm, 0.130, 0.02);
  }
}

constexpr ScaleGranularity kGranularities[] = {
    ScaleGranularity::Tensor, ScaleGranularity::Row, ScaleGranularity::Tile};

void expectEqual(const PhaseMatrix &a, const PhaseMatrix &b) {
  EXPECT_EQ(a.codes, b.codes);
  EXPECT_EQ(a.rowFactors, b.rowFactors);
  ASSERT_EQ(a.scales.size(), b.scales.size());
  for (size_t s = 0; s < a.scales.size(); ++s) {
    EXPECT_EQ(a.scales[s].re, b.scales[s].re);
    EXPECT_EQ(a.scales[s].im, b.scales[s].im);
  }
}

TEST(PhaseTest, ResultDoesNotDependOnThePartition) {
  const int64_t rows = 150, columns = 134;
  const std::vector<float> a = randomMatrix(rows * columns, 11);
  const ParallelFor threaded = [](int64_t count, const auto &body) {
    std::vector<std::thread> threads;
    for (int64_t t = 0; t < 3; ++t)
      threads.emplace_back(
          [&, t] { body(count * t / 3, count * (t + 1) / 3); });
    for (std::thread &t : threads)
      t.join();
  };
  for (ScaleGranularity scales : kGranularities)
    expectEqual(
        quantizePhases(a.data(), rows, columns, {4, scales}, "a"),
        quantizePhases(a.data(), rows, columns, {4, scales}, "a", threaded));
}

/// Row scales are the scales of the matrix whose rows are over their factors.
TEST(PhaseTest, RowFactorsLeaveAMatrixWithTensorScales) {
  const int64_t rows = 36, columns = 44;
  std::vector<float> a = randomMatrix(rows * columns, 13);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      a[i * columns + j] *= i == 5 ? 0 : float(1 + i);
  std::vector<float> derived(rows), given(rows);
  for (int64_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < columns; ++j)
      sum += double(a[i * columns + j]) * a[i * columns + j];
    derived[i] = float(std::sqrt(sum / columns));
    given[i] = i == 5 ? 0 : float(i % 7) - 2.5f;
  }
  for (bool isGiven : {false, true}) {
    const std::vector<float> &factors = isGiven ? given : derived;
    std::vector<float> divided = a;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        divided[i * columns + j] =
            i == 5 ? 0 : divided[i * columns + j] / factors[i];
    const PhaseMatrix q =
        isGiven
            ? quantizePhases(a.data(), rows, columns,
                             {2, ScaleGranularity::Row}, "a", serialFor, given)
            : quantizePhases(a.data(), rows, columns,
                             {2, ScaleGranularity::Row}, "a");
    EXPECT_EQ(q.rowFactors, factors);
    PhaseMatrix expected =
        quantizePhases(divided.data(), rows, columns, {2}, "a");
    std::vector<float> dense = dequantizePhases(expected);
    expected.rowFactors = factors;
    expectEqual(q, expected);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        dense[i * columns + j] *= factors[i];
    EXPECT_EQ(dequantizePhases(q), dense);
  }
}

/// Every tile is quantized as if it were a matrix of its own.
TEST(PhaseTest, TilesAreMatricesOfTheirOwn) {
  const int64_t n = 70, m = 150, columns = 2 * m;
  const std::vector<float> a = randomMatrix(4 * n * m, 17);
  const PhaseMatrix q = quantizePhases(a.data(), 2 * n, columns,
                                       {3, ScaleGranularity::Tile}, "a");
  ASSERT_EQ(q.tilesDown(), 2);
  ASSERT_EQ(q.tilesAcross(), 3);
  for (int64_t i0 = 0; i0 < n; i0 += kScaleTile)
    for (int64_t j0 = 0; j0 < m; j0 += kScaleTile) {
      const int64_t h = std::min(kScaleTile, n - i0);
      const int64_t w = std::min(kScaleTile, m - j0);
      std::vector<float> part;
      for (int64_t top : {i0, n + i0})
        for (int64_t i = top; i < top + h; ++i)
          for (int64_t left : {j0, m + j0})
            part.insert(part.end(), a.begin() + i * columns + left,
                        a.begin() + i * columns + left + w);
      const PhaseMatrix own =
          quantizePhases(part.data(), 2 * h, 2 * w, {3}, "part");
      for (int s = 0; s < q.sets(); ++s) {
        EXPECT_EQ(q.scalesAt(i0, j0)[s].re, own.scales[s].re);
        EXPECT_EQ(q.scalesAt(i0, j0)[s].im, own.scales[s].im);
        for (int64_t i = 0; i < h; ++i)
          for (int64_t j = 0; j < w; ++j)
            ASSERT_EQ(q.set(s)[(i0 + i) * m + j0 + j], own.set(s)[i * w + j]);
      }
      const std::vector<float> dense = dequantizePhases(q);
      const std::vector<float> ownDense = dequantizePhases(own);
      for (int64_t i = 0; i < h; ++i)
        for (int64_t j = 0; j < w; ++j)
          ASSERT_EQ(dense[(n + i0 + i) * columns + j0 + j],
                    ownDense[(h + i) * 2 * w + j]);
    }
}

/// Bit patterns of bfloat16 as the fixture has them.
std::vector<float> bfloat16s(std::istream &words, int64_t count) {
  std::vector<float> values;
  for (std::string word; int64_t(values.size()) < count && words >> word;)
    values.push_back(
        std::bit_cast<float>(uint32_t(std::stoul(word, nullptr, 16)) << 16));
  return values;
}

/// The reference's dense matrices bit for bit (make_official_bf16.py).
TEST(PhaseTest, OfficialModeIsTheReference) {
  std::ifstream fixture(std::string(FAIRY2_SOURCE_DIR) +
                        "/test/unit/dialect/Inputs/official_bf16.txt");
  std::string word;
  int64_t rows = 0, columns = 0;
  ASSERT_TRUE(fixture >> word >> rows >> columns >> word);
  const std::vector<float> a = bfloat16s(fixture, rows * columns);
  ASSERT_EQ(int64_t(a.size()), rows * columns);
  for (int stages = 1; stages <= 4; ++stages) {
    ASSERT_TRUE(fixture >> word);
    ASSERT_EQ(word, "stages" + std::to_string(stages));
    const std::vector<float> expected = bfloat16s(fixture, rows * columns);
    const PhaseScheme official{stages, ScaleGranularity::Tensor,
                               QuantizeMode::OfficialBF16};
    EXPECT_EQ(dequantizePhases(
                  quantizePhases(a.data(), rows, columns, official, "a")),
              expected);
    EXPECT_NE(dequantizePhases(
                  quantizePhases(a.data(), rows, columns, {stages}, "a")),
              expected);
  }
}

/// Where the reference finds another code, the entry is an exact tie, which it
/// decides by the last bit of its library's angle; some of this case are.
TEST(PhaseTest, OfficialModeDiffersOnExactTiesAlone) {
  std::ifstream fixture(std::string(FAIRY2_SOURCE_DIR) +
                        "/test/unit/dialect/Inputs/official_bf16_ties.txt");
  std::string word;
  int64_t rows = 0, columns = 0;
  ASSERT_TRUE(fixture >> word >> rows >> columns >> word);
  const std::vector<float> a = bfloat16s(fixture, rows * columns);
  ASSERT_EQ(int64_t(a.size()), rows * columns);
  const PhaseMatrix q = quantizePhases(
      a.data(), rows, columns,
      {1, ScaleGranularity::Tensor, QuantizeMode::OfficialBF16}, "a");
  const int64_t n = rows / 2, m = columns / 2;
  int ties = 0, others = 0;
  ASSERT_TRUE(fixture >> word);
  for (int set = 0; set < 2; ++set)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < m; ++j) {
        const float *top = a.data() + i * columns + j;
        const float *bottom = a.data() + (n + i) * columns + j;
        const WidelyLinear v =
            toWidelyLinear(top[0], top[m], bottom[0], bottom[m]);
        const float re = set ? v.wRe : v.uRe, im = set ? v.wIm : v.uIm;
        const bool isTie = re != 0 && std::fabs(re) == std::fabs(im);
        int code = -1;
        ASSERT_TRUE(fixture >> code);
        const bool isOther = Phase(code) != q.set(set)[i * m + j];
        EXPECT_TRUE(isTie || !isOther) << re << ", " << im << ": " << code;
        ties += isTie;
        others += isOther;
      }
  EXPECT_GT(others, 0);
  EXPECT_GT(ties, others);
}

TEST(PhaseTest, ErrorIsThatOfTheDenseMatrix) {
  const int64_t rows = 140, columns = 136;
  const std::vector<float> a = randomMatrix(rows * columns, 23);
  for (ScaleGranularity scales : kGranularities) {
    QuantizationError found;
    const std::vector<float> dense = dequantizePhases(quantizePhases(
        a.data(), rows, columns, {2, scales}, "a", serialFor, {}, &found));
    double norm = 0, error = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      norm += double(a[i]) * a[i];
      error += (double(a[i]) - dense[i]) * (double(a[i]) - dense[i]);
    }
    EXPECT_NEAR(found.norm / norm, 1, 1e-9);
    EXPECT_NEAR(found.error / error, 1, 1e-5);
    EXPECT_NEAR(found.relative(), std::sqrt(error / norm), 1e-5);
  }
}

TEST(PhaseTest, AllZeroMatrixGetsTheSmallestScale) {
  const std::vector<float> a(16, 0.f);
  const PhaseMatrix q = quantizePhases(a.data(), 4, 4, {1}, "a");
  for (Phase p : q.codes)
    EXPECT_EQ(p, Phase::One);
  EXPECT_EQ(q.scales[0].re, 1e-6f);
  EXPECT_EQ(q.scales[0].im, 1e-6f);
}

TEST(PhaseTest, BadInputNamesTheTensor) {
  std::vector<float> a(24, 1.f);
  auto message = [&](int64_t rows, int64_t columns) -> std::string {
    try {
      quantizePhases(a.data(), rows, columns, {1}, "layers.3.up_proj");
    } catch (const Error &e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(message(3, 8), "layers.3.up_proj: expected even extents to pair "
                           "rows and columns as complex numbers, found 3 x 8");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  auto withFactors = [&](PhaseScheme scheme, std::vector<float> factors) {
    try {
      quantizePhases(a.data(), 6, 4, scheme, "up_proj", serialFor, factors);
    } catch (const Error &e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  const PhaseScheme byRow{1, ScaleGranularity::Row};
  EXPECT_EQ(withFactors(byRow, {1, 2}),
            "up_proj: expected a factor for each of 6 rows and row scales, "
            "found 2 factors");
  EXPECT_EQ(withFactors({1}, {1, 2, 3, 4, 5, 6}),
            "up_proj: expected a factor for each of 6 rows and row scales, "
            "found 6 factors");
  EXPECT_EQ(withFactors(byRow, {1, 2, 3, 4, 5, nan}),
            "up_proj: expected finite row factors");
  a[4 * 2 + 3] = nan;
  EXPECT_EQ(message(6, 4), "layers.3.up_proj: expected finite values, found "
                           "NaN at row 2, column 3");
  a[4 * 2 + 3] = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(message(6, 4), "layers.3.up_proj: expected finite values, found "
                           "infinity at row 2, column 3");
}

class PackingTest : public testing::TestWithParam<std::pair<int, int>> {};

TEST_P(PackingTest, RoundTripsAndPadsWithOne) {
  const auto [n, m] = GetParam();
  const std::vector<float> a = randomMatrix(4 * n * m, 5);
  const PhaseMatrix q = quantizePhases(a.data(), 2 * n, 2 * m, {2}, "a");
  const SignPlaneLayout layout{n, m, q.sets()};
  std::vector<uint8_t> packed(layout.bytes());
  packSignPlanes(q, packed.data());
  for (int s = 0; s < q.sets(); ++s)
    for (int64_t row = 0; row < layout.tiles() * 16; ++row)
      for (int64_t column = 0; column < layout.blocks() * 16; ++column)
        EXPECT_EQ(unpackSignPlanes(layout, packed.data(), s, row, column),
                  row < n && column < m ? q.set(s)[row * m + column]
                                        : Phase::One);
}
INSTANTIATE_TEST_SUITE_P(Shapes, PackingTest,
                         testing::Values(std::pair(1, 1), std::pair(16, 16),
                                         std::pair(17, 33), std::pair(86, 32),
                                         std::pair(288, 288)));

/// One bit per real parameter and stage, exactly, when nothing is padded.
TEST(PackingTest, CostsOneBitPerParameterAndStage) {
  const SignPlaneLayout layout{2048, 2048, 4};
  EXPECT_EQ(layout.bytes() * 8, 4096 * 4096 * 2);
}

} // namespace
