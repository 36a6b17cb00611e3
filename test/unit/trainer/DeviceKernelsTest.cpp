// SPDX-License-Identifier: Apache-2.0
//
// The bodies of the CUDA kernels, run serially: against the definitions in
// double precision, and the quantizers bit by bit against the CPU's.
#include "dialect/phase/Phase.h"
#include "test/unit/trainer/SerialKernels.h"
#include "trainer/kernels/Kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

std::vector<float> randomFloats(int64_t count, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(static_cast<size_t>(count));
  for (float &v : values)
    v = normal(random);
  return values;
}

constexpr int64_t kRows = 300; // more than one row per piece
// One warp, lanes without an element, and more elements than threads.
constexpr int64_t kWidths[] = {1, 70, 2600};

TEST(DeviceKernelsTest, NormAndItsGradient) {
  for (const int64_t n : kWidths)
    for (const bool adds : {false, true}) {
      const int64_t count = kRows * n;
      const std::vector<float> x = randomFloats(count, 1),
                               delta = randomFloats(count, 2),
                               w = randomFloats(n, 3),
                               dy = randomFloats(count, 4),
                               dSum = randomFloats(count, 5);
      std::vector<float> sum(x), y(x.size()), inverses(kRows), dx(x.size()),
          pieces(size_t(kNormPieces * n), NAN);
      kSerialKernels.start(NormCall<float, float>{
          x.data(), adds ? delta.data() : nullptr, w.data(), kRows, n, 1e-5f,
          /*quantizes=*/false, sum.data(), y.data(), inverses.data()});
      kSerialKernels.start(NormBackwardCall<float, float>{
          sum.data(), w.data(), inverses.data(), dy.data(),
          adds ? dSum.data() : nullptr, kRows, n, dx.data(), nullptr,
          pieces.data()});
      std::vector<double> dw(static_cast<size_t>(n));
      for (int64_t row = 0; row < kRows; ++row) {
        double mean = 0, dot = 0;
        for (int64_t i = 0; i < n; ++i) {
          const int64_t at = row * n + i;
          ASSERT_EQ(sum[at], adds ? x[at] + delta[at] : x[at]);
          mean += double(sum[at]) * sum[at] / double(n);
          dot += double(dy[at]) * w[i] * sum[at];
        }
        const double r = 1 / std::sqrt(mean + 1e-5);
        for (int64_t i = 0; i < n; ++i) {
          const int64_t at = row * n + i;
          EXPECT_NEAR(y[at], sum[at] * r * w[i], 1e-5);
          EXPECT_NEAR(dx[at],
                      r * dy[at] * w[i] -
                          sum[at] * r * r * r * dot / double(n) +
                          (adds ? dSum[at] : 0),
                      2e-5 * (1 + r));
          dw[i] += dy[at] * sum[at] * r;
        }
      }
      for (int64_t i = 0; i < n; ++i) {
        double sumOfPieces = 0;
        for (int64_t p = 0; p < kNormPieces; ++p)
          sumOfPieces += pieces[p * n + i];
        EXPECT_NEAR(sumOfPieces, dw[i], 1e-4);
      }
    }
}

TEST(DeviceKernelsTest, GatedAndItsGradient) {
  for (const int64_t n : kWidths) {
    const std::vector<float> gate = randomFloats(n, 1, 4),
                             up = randomFloats(n, 2), dy = randomFloats(n, 3);
    std::vector<float> y(gate.size()), dGate(y), dUp(y);
    kSerialKernels.start(GatedCall<float>{gate.data(), up.data(), 1, n,
                                          /*quantizes=*/false, y.data()});
    kSerialKernels.start(GatedBackwardCall<float>{
        gate.data(), up.data(), dy.data(), 1, n, dGate.data(), dUp.data()});
    for (int64_t i = 0; i < n; ++i) {
      const double g = gate[i], s = 1 / (1 + std::exp(-g));
      EXPECT_NEAR(y[i], g * s * up[i], 2e-5);
      EXPECT_NEAR(dUp[i], dy[i] * g * s, 2e-5);
      EXPECT_NEAR(dGate[i], dy[i] * up[i] * (s + g * s * (1 - s)), 2e-5);
    }
  }
}

TEST(DeviceKernelsTest, FakeQuantizationIsTheCpus) {
  for (const int64_t n : kWidths) {
    std::vector<float> x = randomFloats(3 * n, uint32_t(n), 3);
    std::fill(x.begin() + n, x.begin() + 2 * n, 0.f);
    x[0] = n > 1 ? x[1] / 2 : -2; // often a tie
    std::vector<float> y(x.size()), expected(x.size());
    kSerialKernels.start(FakeQuantizeCall<float>{x.data(), 3, n, y.data()});
    for (int64_t row = 0; row < 3; ++row)
      kernels().fakeQuantizeRow(x.data() + row * n, n,
                                expected.data() + row * n);
    EXPECT_EQ(y, expected);
  }
}

TEST(DeviceKernelsTest, RotationTurnsPairsAndBack) {
  constexpr int64_t tokens = 9, heads = 3, dim = 10;
  const std::vector<float> x = randomFloats(tokens * heads * dim, 1);
  std::vector<float> angles, y(x.size()), back(x.size());
  for (int64_t i = 0; i < tokens * dim; ++i) {
    const double angle = double(i / dim) * double(1 + i % (dim / 2));
    angles.push_back(
        float(i % dim < dim / 2 ? std::cos(angle) : std::sin(angle)));
  }
  kSerialKernels.start(RotateCall<float>{x.data(), angles.data(), tokens, heads,
                                         dim, 1, y.data()});
  kSerialKernels.start(RotateCall<float>{y.data(), angles.data(), tokens, heads,
                                         dim, -1, back.data()});
  for (int64_t token = 0; token < tokens; ++token)
    for (int64_t head = 0; head < heads; ++head)
      for (int64_t j = 0; j < dim / 2; ++j) {
        const int64_t at = (token * heads + head) * dim + j;
        const double angle = double(token) * double(1 + j);
        const double a = x[at], b = x[at + dim / 2];
        EXPECT_NEAR(y[at], a * std::cos(angle) - b * std::sin(angle), 1e-5);
        EXPECT_NEAR(y[at + dim / 2], b * std::cos(angle) + a * std::sin(angle),
                    1e-5);
        EXPECT_NEAR(back[at], a, 1e-5);
        EXPECT_NEAR(back[at + dim / 2], b, 1e-5);
      }
}

std::vector<double> logSoftmax(const float *x, int64_t n, double temperature) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i)
    sum += std::exp(x[i] / temperature);
  std::vector<double> values;
  for (int64_t i = 0; i < n; ++i)
    values.push_back(x[i] / temperature - std::log(sum));
  return values;
}

TEST(DeviceKernelsTest, CrossEntropyWithAndWithoutTeacher) {
  constexpr int64_t rows = 4, ignored = -100;
  constexpr float weight = 0.7f, temperature = 2;
  for (const int64_t vocab : kWidths) {
    std::vector<float> logits = randomFloats(rows * vocab, 1, 5);
    if (vocab > 3)
      logits[3] = -500; // far below what float32's exponential holds
    const std::vector<float> teacher = randomFloats(rows * vocab, 2, 5);
    const int64_t targets[] = {0, vocab - 1, ignored, vocab / 2};
    std::vector<float> hard = logits, soft = logits;
    std::vector<double> losses(rows), softLosses(rows), plain(rows);
    kSerialKernels.start(CrossEntropyCall<float>{hard.data(), targets, rows,
                                                 vocab, ignored, hard.data(),
                                                 losses.data()});
    kSerialKernels.start(DistillCall<float>{
        soft.data(), teacher.data(), targets, rows, vocab, ignored, weight,
        temperature, soft.data(), softLosses.data(), plain.data()});
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = row * vocab;
      if (targets[row] == ignored) {
        EXPECT_EQ(losses[row], 0);
        EXPECT_EQ(softLosses[row], 0);
        EXPECT_EQ(plain[row], 0);
        for (int64_t i = 0; i < vocab; ++i)
          ASSERT_TRUE(hard[at + i] == 0 && soft[at + i] == 0);
        continue;
      }
      const auto p = logSoftmax(logits.data() + at, vocab, 1),
                 warm = logSoftmax(logits.data() + at, vocab, temperature),
                 wanted = logSoftmax(teacher.data() + at, vocab, temperature);
      double divergence = 0;
      for (int64_t i = 0; i < vocab; ++i) {
        const double gradient = std::exp(p[i]) - double(i == targets[row]);
        EXPECT_NEAR(hard[at + i], gradient, 1e-5);
        EXPECT_NEAR(soft[at + i],
                    (1 - weight) * gradient +
                        weight * temperature *
                            (std::exp(warm[i]) - std::exp(wanted[i])),
                    1e-5);
        divergence += std::exp(wanted[i]) * (wanted[i] - warm[i]);
      }
      EXPECT_NEAR(losses[row], -p[targets[row]], 1e-4);
      EXPECT_NEAR(plain[row], -p[targets[row]], 1e-4);
      EXPECT_NEAR(softLosses[row],
                  (1 - weight) * -p[targets[row]] +
                      weight * temperature * temperature * divergence,
                  2e-4);
    }
  }
}

TEST(DeviceKernelsTest, SumOfSquares) {
  for (const int64_t n : {0, 1, 100, 70001}) {
    const std::vector<float> x = randomFloats(n, 1);
    std::vector<double> parts(SumOfSquaresCall::kParts, NAN);
    kSerialKernels.start(SumOfSquaresCall{x.data(), n, parts.data()});
    double expected = 0;
    for (const float v : x)
      expected += double(v) * v;
    EXPECT_NEAR(std::accumulate(parts.begin(), parts.end(), 0.0), expected,
                1e-12 * double(n));
  }
}

/// A quantizer's call with all its room.
struct PhaseRun {
  PhaseRun(const std::vector<float> &a, const PhaseMatrix &like)
      : factors(size_t(2 * like.rows)), residual(a.size() / 4),
        sums(size_t(like.rows * like.tilesAcross())), codes(a.size() / 4),
        scales(like.scales.size()), out(a.size()) {
    const PhaseCall call{a.data(),
                         like.rows,
                         like.columns,
                         like.scheme.stages,
                         like.tileRows(),
                         like.tileColumns(),
                         like.scheme.scales == ScaleGranularity::Row,
                         factors.data(),
                         residual.data(),
                         sums.data(),
                         codes.data(),
                         scales.data(),
                         out.data(),
                         &firstBadValue};
    kSerialKernels.start(PhaseBatchCall{&call, &call, 1});
  }

  std::vector<float> factors;
  std::vector<WidelyLinear> residual;
  std::vector<WidelyLinearSums> sums;
  std::vector<uint32_t> codes;
  std::vector<AxisScales> scales;
  std::vector<float> out;
  int64_t firstBadValue = PhaseCall::kNoBadValue;
};

TEST(DeviceKernelsTest, PhasesAreTheCompilersBitByBit) {
  constexpr std::pair<int64_t, int64_t> kShapes[] = {
      {2, 2}, {66, 64}, {64, 66}, {140, 400}, {300, 258}};
  for (const auto &[rows, columns] : kShapes)
    for (const auto scales : {ScaleGranularity::Tensor, ScaleGranularity::Row,
                              ScaleGranularity::Tile})
      for (const int stages : {1, 2, 3, 8}) {
        std::vector<float> a = randomFloats(rows * columns, uint32_t(rows));
        // Ties, and a row of nothing.
        for (size_t i = 0; i < a.size(); i += 3)
          a[i] = std::nearbyint(a[i]);
        if (rows > 2)
          std::fill(a.begin() + columns, a.begin() + 2 * columns, 0.f);
        const PhaseMatrix expected =
            quantizePhases(a.data(), rows, columns, {stages, scales}, "a");
        const PhaseRun run(a, expected);
        EXPECT_EQ(run.firstBadValue, PhaseCall::kNoBadValue);
        for (int set = 0; set < expected.sets(); ++set)
          for (size_t at = 0; at < run.codes.size(); ++at)
            ASSERT_EQ(PhaseCall::phaseOf(run.codes[at], set),
                      expected.set(set)[at])
                << set << " " << at;
        for (size_t i = 0; i < run.scales.size(); ++i) {
          ASSERT_EQ(run.scales[i].re, expected.scales[i].re);
          ASSERT_EQ(run.scales[i].im, expected.scales[i].im);
        }
        if (scales == ScaleGranularity::Row)
          ASSERT_EQ(run.factors, expected.rowFactors);
        ASSERT_EQ(run.out, dequantizePhases(expected));
      }
}

TEST(DeviceKernelsTest, PhasesTellTheFirstBadValue) {
  const PhaseMatrix like = quantizePhases(std::vector<float>(8 * 6).data(), 8,
                                          6, {2, ScaleGranularity::Row}, "a");
  for (const size_t place : {0, 17, 29, 47}) {
    std::vector<float> a = randomFloats(8 * 6, 1);
    a[47] = INFINITY;
    a[place] = NAN;
    EXPECT_EQ(PhaseRun(a, like).firstBadValue, int64_t(place));
  }
}

} // namespace
