// SPDX-License-Identifier: Apache-2.0
//
// Every table of kernels against the definitions in double precision.
#include "trainer/kernels/Kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <tuple>
#include <vector>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

std::vector<float> randomFloats(size_t count, uint32_t seed, float scale = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(count);
  for (float &v : values)
    v = normal(random);
  return values;
}

class KernelsTest : public testing::TestWithParam<int> {
protected:
  void SetUp() override {
    int count;
    const Kernels *const *all = runnableKernels(count);
    if (GetParam() >= count)
      GTEST_SKIP() << "this machine cannot run it";
    table = all[GetParam()];
  }
  const Kernels *table = nullptr;
};

TEST_P(KernelsTest, FakeQuantizeRowIsItsDefinition) {
  for (const size_t n : {1, 7, 64, 172}) {
    std::vector<float> x = randomFloats(n, uint32_t(n), 3), y(n);
    x[0] = n > 1 ? x[1] / 2 : 0.f; // often a tie, or all zero
    float most = 0;
    for (const float v : x)
      most = std::max(most, std::fabs(v));
    table->fakeQuantizeRow(x.data(), int64_t(n), y.data());
    for (size_t i = 0; i < n; ++i) {
      const float inverse = most == 0 ? 0 : 127.f / most;
      const float expected = std::nearbyint(x[i] * inverse) * (most / 127.f);
      EXPECT_EQ(y[i], expected) << n << " " << i;
    }
  }
}

TEST_P(KernelsTest, SoftmaxRowNormalizes) {
  std::vector<float> x = randomFloats(511, 3, 10);
  x[5] = -500; // far below what float32's exponential holds
  const std::vector<float> before = x;
  const float logSum = table->softmaxRow(x.data(), int64_t(x.size()), 2);
  double sum = 0;
  for (const float v : before)
    sum += std::exp(double(v) / 2);
  EXPECT_NEAR(logSum, std::log(sum), 1e-5);
  for (size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(x[i], std::exp(double(before[i]) / 2) / sum, 1e-6);
}

TEST_P(KernelsTest, SwiGluAndItsGradient) {
  const std::vector<float> gate = randomFloats(100, 1, 4);
  const std::vector<float> up = randomFloats(100, 2), dy = randomFloats(100, 3);
  std::vector<float> y(100), dGate(100), dUp(100);
  table->swiGlu(gate.data(), up.data(), 100, y.data());
  table->swiGluBackward(gate.data(), up.data(), dy.data(), 100, dGate.data(),
                        dUp.data());
  for (size_t i = 0; i < 100; ++i) {
    const double g = gate[i], s = 1 / (1 + std::exp(-g));
    EXPECT_NEAR(y[i], g * s * up[i], 1e-5);
    EXPECT_NEAR(dUp[i], dy[i] * g * s, 1e-5);
    EXPECT_NEAR(dGate[i], dy[i] * up[i] * (s + g * s * (1 - s)), 1e-5);
  }
}

TEST_P(KernelsTest, RmsNormRowAndItsGradient) {
  constexpr int64_t n = 70;
  const std::vector<float> x = randomFloats(n, 1), w = randomFloats(n, 2),
                           dy = randomFloats(n, 3);
  std::vector<float> y(n), dx(n), dw(n, 1.f);
  const float inverse =
      table->rmsNormRow(x.data(), w.data(), n, 1e-5f, y.data());
  table->rmsNormRowBackward(x.data(), w.data(), n, inverse, dy.data(),
                            dx.data(), dw.data());
  double mean = 0, dot = 0;
  for (int64_t i = 0; i < n; ++i)
    mean += double(x[i]) * x[i] / n;
  const double r = 1 / std::sqrt(mean + 1e-5);
  for (int64_t i = 0; i < n; ++i)
    dot += double(dy[i]) * w[i] * x[i];
  for (int64_t i = 0; i < n; ++i) {
    EXPECT_NEAR(y[i], x[i] * r * w[i], 1e-5);
    EXPECT_NEAR(dx[i], r * dy[i] * w[i] - x[i] * r * r * r * dot / n, 1e-5);
    EXPECT_NEAR(dw[i], 1 + dy[i] * x[i] * r, 1e-5);
  }
}

TEST_P(KernelsTest, SoftCapAndItsGradient) {
  const std::vector<float> before = randomFloats(100, 1, 40);
  std::vector<float> x = before, gradient(100, 2.f);
  x[3] = 1e30f;
  table->softCapRow(x.data(), 100, 3);
  table->softCapRowBackward(x.data(), 100, 3, gradient.data());
  EXPECT_EQ(x[3], 3);
  EXPECT_EQ(gradient[3], 0);
  for (size_t i = 4; i < 100; ++i) {
    const double tangent = std::tanh(double(before[i]) / 3);
    EXPECT_NEAR(x[i], 3 * tangent, 1e-6);
    EXPECT_NEAR(gradient[i], 2 * (1 - tangent * tangent), 2e-6);
  }
}

/// Attention over packed documents, written down as the formula reads.
TEST_P(KernelsTest, AttentionAndItsGradient) {
  for (const auto &[positions, dim, cap] :
       {std::tuple(int64_t(1), int64_t(2), 0.f),
        std::tuple(int64_t(37), int64_t(8), 0.f),
        std::tuple(int64_t(37), int64_t(8), 1.5f),
        std::tuple(int64_t(70), int64_t(20), 0.f)}) {
    const size_t n = size_t(positions), d = size_t(dim),
                 stride = size_t(roundUpToLanes(positions));
    std::vector<int32_t> first(n, 0);
    for (size_t i = n / 3; i < n; ++i)
      first[i] = int32_t(n / 3);
    const AttentionHead head{positions, dim, 0.4f, cap, first.data()};
    const std::vector<float> q = randomFloats(n * d, 1),
                             dOut = randomFloats(n * d, 4);
    std::vector<float> kT = randomFloats(d * stride, 2, 2),
                       vT = randomFloats(d * stride, 3);
    std::vector<float> out(n * d), logSums(n), dq(n * d), dkT(d * stride),
        dvT(d * stride), scratch(size_t(attentionScratch(positions)));
    table->attentionForward(head, q.data(), kT.data(), vT.data(), out.data(),
                            logSums.data(), scratch.data());
    table->attentionBackward(head, q.data(), kT.data(), vT.data(), out.data(),
                             logSums.data(), dOut.data(), dq.data(), dkT.data(),
                             dvT.data(), scratch.data());
    std::vector<double> expectedDk(d * stride), expectedDv(d * stride);
    for (size_t i = 0; i < n; ++i) {
      std::vector<double> p(i + 1), slope(i + 1, 0.4);
      double sum = 0, delta = 0;
      for (size_t j = size_t(first[i]); j <= i; ++j) {
        double score = 0;
        for (size_t c = 0; c < d; ++c)
          score += double(q[i * d + c]) * kT[c * stride + j];
        score *= 0.4;
        if (cap > 0) {
          const double tangent = std::tanh(score / cap);
          score = cap * tangent;
          slope[j] *= 1 - tangent * tangent;
        }
        sum += p[j] = std::exp(score);
      }
      for (size_t c = 0; c < d; ++c) {
        double o = 0;
        for (size_t j = size_t(first[i]); j <= i; ++j)
          o += p[j] / sum * vT[c * stride + j];
        EXPECT_NEAR(out[i * d + c], o, 1e-4);
        delta += o * dOut[i * d + c];
      }
      std::vector<double> expectedDq(d);
      for (size_t j = size_t(first[i]); j <= i; ++j) {
        double dp = 0;
        for (size_t c = 0; c < d; ++c)
          dp += double(dOut[i * d + c]) * vT[c * stride + j];
        const double ds = p[j] / sum * (dp - delta) * slope[j];
        for (size_t c = 0; c < d; ++c) {
          expectedDq[c] += ds * kT[c * stride + j];
          expectedDk[c * stride + j] += ds * q[i * d + c];
          expectedDv[c * stride + j] += p[j] / sum * dOut[i * d + c];
        }
      }
      for (size_t c = 0; c < d; ++c)
        EXPECT_NEAR(dq[i * d + c], expectedDq[c], 1e-4);
    }
    for (size_t i = 0; i < expectedDk.size(); ++i) {
      EXPECT_NEAR(dkT[i], expectedDk[i], 2e-4);
      EXPECT_NEAR(dvT[i], expectedDv[i], 2e-4);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, KernelsTest, testing::Values(0, 1, 2));

} // namespace
