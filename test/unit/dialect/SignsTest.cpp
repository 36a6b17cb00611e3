// SPDX-License-Identifier: Apache-2.0
//
// The quantizers of real numbers against the formulas of their papers, value by
// value, and their packing.
#include "dialect/phase/Signs.h"
#include "runtime/support/Error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <thread>

using namespace fairy2;

namespace {

using Floats = std::vector<float>;

Floats randomMatrix(int64_t count) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.003f, 0.05f);
  Floats a(count);
  for (float &v : a)
    v = normal(random);
  a[0] = 0;
  a[1] = -0.0f;
  return a;
}

template <typename Function> float mean(const Floats &a, const Function &f) {
  double sum = 0;
  for (float v : a)
    sum += double(f(v));
  return float(sum / double(a.size()));
}
float magnitude(float x) { return std::fabs(x); }

/// One row, or a matrix of one row, as the method's paper writes it.
Floats reference(SignMethod method, const Floats &a) {
  Floats out(a.size());
  const float average = mean(a, [](float x) { return x; });
  const float size = mean(a, magnitude);
  for (size_t i = 0; i < a.size(); ++i)
    switch (method) {
    case SignMethod::BitNet:
      out[i] = a[i] > average ? size : -size;
      break;
    case SignMethod::Ternary: {
      const float clamped = std::max(size, 1e-5f);
      out[i] =
          clamped * std::clamp(std::nearbyint(a[i] * (1 / clamped)), -1.f, 1.f);
      break;
    }
    case SignMethod::TwoSigns:
      out[i] = a[i] >= 0 ? size : -size;
      break;
    case SignMethod::FourLevels: {
      const float step =
          0.9957f * std::sqrt(mean(a, [](float x) { return x * x; }));
      out[i] = step * (std::clamp(std::floor(a[i] / step), -2.f, 1.f) + 0.5f);
      break;
    }
    }
  if (method == SignMethod::TwoSigns) {
    Floats rest = a;
    for (size_t i = 0; i < a.size(); ++i)
      rest[i] -= out[i];
    const float second = mean(rest, magnitude);
    for (size_t i = 0; i < a.size(); ++i)
      out[i] += rest[i] >= 0 ? second : -second;
  }
  return out;
}

Floats dense(const SignMatrix &q) {
  Floats a;
  for (int64_t i = 0; i < q.rows; ++i)
    for (int64_t j = 0; j < q.columns; ++j)
      a.push_back(q.at(i, j));
  return a;
}

SignMatrix quantize(const Floats &a, int64_t rows, int64_t columns,
                    SignScheme scheme, const ParallelFor &parallel = serialFor,
                    QuantizationError *error = nullptr) {
  return quantizeSigns(rowsOf(a.data(), columns), rows, columns, scheme, "w",
                       parallel, error);
}

std::string messageOf(const std::function<void()> &body) {
  try {
    body();
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

class SignsTest : public testing::TestWithParam<SignMethod> {};

TEST_P(SignsTest, ValuesAreThoseOfTheFormula) {
  const Floats a = randomMatrix(7 * 26);
  // The formulas sum in the order of the values and the quantizer row by row;
  // a matrix of one row has one order.
  const SignMatrix whole = quantize(a, 1, 7 * 26, {GetParam()});
  EXPECT_EQ(dense(whole), reference(GetParam(), a));
  const SignMatrix byRow =
      quantize(a, 7, 26, {GetParam(), ScaleGranularity::Row});
  for (int64_t i = 0; i < 7; ++i) {
    const Floats row(a.begin() + i * 26, a.begin() + (i + 1) * 26);
    const Floats expected = reference(GetParam(), row);
    for (int64_t j = 0; j < 26; ++j)
      EXPECT_EQ(byRow.at(i, j), expected[j]) << i << ", " << j;
  }
  const Floats all = dense(quantize(a, 7, 26, {GetParam()}));
  const size_t levels = GetParam() == SignMethod::BitNet    ? 2
                        : GetParam() == SignMethod::Ternary ? 3
                                                            : 4;
  EXPECT_EQ(std::set<float>(all.begin(), all.end()).size(), levels);
}

TEST_P(SignsTest, ResultsDoNotDependOnThreads) {
  const Floats a = randomMatrix(33 * 10);
  const ParallelFor threads =
      [](int64_t count, const std::function<void(int64_t, int64_t)> &body) {
        std::vector<std::thread> pool;
        for (int64_t t = 0; t < 3; ++t)
          pool.emplace_back(
              [&, t] { body(count * t / 3, count * (t + 1) / 3); });
        for (std::thread &thread : pool)
          thread.join();
      };
  for (auto scales : {ScaleGranularity::Tensor, ScaleGranularity::Row}) {
    QuantizationError here, there;
    const SignMatrix one =
        quantize(a, 33, 10, {GetParam(), scales}, serialFor, &here);
    const SignMatrix three =
        quantize(a, 33, 10, {GetParam(), scales}, threads, &there);
    EXPECT_EQ(one.signs, three.signs);
    EXPECT_EQ(one.scales, three.scales);
    EXPECT_EQ(here.error, there.error);
  }
}

TEST_P(SignsTest, ErrorsAreThoseOfTheDenseMatrix) {
  const Floats a = randomMatrix(64 * 64);
  QuantizationError found;
  const Floats q = dense(quantize(a, 64, 64, {GetParam()}, serialFor, &found));
  double norm = 0, error = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    norm += double(a[i]) * a[i];
    error += (double(a[i]) - q[i]) * (double(a[i]) - q[i]);
  }
  EXPECT_NEAR(found.norm, norm, 1e-9 * norm);
  EXPECT_NEAR(found.error, error, 1e-9 * norm);
}

TEST_P(SignsTest, PlanesHoldEverySignAndPaddingIsPositive) {
  const int64_t rows = 19, columns = 2 * 21;
  const SignMatrix q =
      quantize(randomMatrix(rows * columns), rows, columns, {GetParam()});
  const SignPlaneLayout layout{rows, columns / 2, q.scheme.planes()};
  std::vector<uint8_t> packed(layout.bytes());
  packSigns(q, packed.data());
  int64_t negative = 0, clearBits = 0;
  for (int p = 0; p < layout.sets; ++p)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        const bool sign = q.signs[i * columns + j] >> p & 1;
        negative += !sign;
        EXPECT_EQ(unpackSign(layout, packed.data(), p, i, j), sign);
      }
  for (uint8_t byte : packed)
    clearBits += 8 - std::popcount(byte);
  EXPECT_EQ(clearBits, negative);
}

TEST_P(SignsTest, ZerosHaveAScaleAndBadValuesAreNamed) {
  const Floats zeros(4 * 6, 0);
  for (float v : dense(quantize(zeros, 4, 6, {GetParam()})))
    EXPECT_LE(std::fabs(v), 2e-6f);
  Floats bad = zeros;
  bad[2 * 6 + 3] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(messageOf([&] { quantize(bad, 4, 6, {GetParam()}); }),
            "w: expected finite values, found infinity at row 2, column 3");
  EXPECT_EQ(messageOf([&] {
              quantize(zeros, 4, 6, {GetParam(), ScaleGranularity::Tile});
            }),
            std::string("w: expected scales per tensor or row for ") +
                nameOf(GetParam()) + ", found scales per tile");
  EXPECT_EQ(signMethodFromName(nameOf(GetParam())), GetParam());
}

// transformers' BitLinear: scale = 1 / w.abs().mean().clamp_(min=1e-5), then
// (w * scale).round().clamp(-1, 1) / scale. Small weights tell the clamp from a
// number that is added to the mean; the values are worked out by hand.
TEST(SignsTernaryTest, TheMeanIsClamped) {
  // The mean is 2e-5: 0.6, -1.4, 0.25 and 1.75 of it.
  EXPECT_EQ(dense(quantize({1.2e-5f, -2.8e-5f, 0.5e-5f, 3.5e-5f}, 1, 4,
                           {SignMethod::Ternary})),
            (Floats{2e-5f, -2e-5f, 0, 2e-5f}));
  // The mean is 5e-6 and counts as 1e-5: 0.4, -0.9, 0.1 and -0.6 of that.
  EXPECT_EQ(dense(quantize({0.4e-5f, -0.9e-5f, 0.1e-5f, -0.6e-5f}, 1, 4,
                           {SignMethod::Ternary})),
            (Floats{0, -1e-5f, 0, -1e-5f}));
}

INSTANTIATE_TEST_SUITE_P(Methods, SignsTest, testing::ValuesIn(kSignMethods),
                         [](const auto &info) {
                           return std::string(nameOf(info.param));
                         });

} // namespace
