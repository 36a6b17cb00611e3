// SPDX-License-Identifier: Apache-2.0
//
// Kernels that work on rows, and linear layers without phases: each against its
// formula in double precision, at odd sizes, on every CPU level of this
// machine.
#include "test/unit/codegen/KernelRuns.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <tuple>

using namespace fairy2;

namespace {

std::string typedWeight(const std::string &name, Floats &values,
                        const std::vector<int64_t> &shape,
                        const std::string &element) {
  const std::string attribute = denseAttribute(values, shape, element);
  return "fairy2.weight @" + name + " : " +
         attribute.substr(attribute.find("tensor<")) + " = " + attribute + "\n";
}

class RowKernelTest : public testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Features, RowKernelTest,
                         testing::Values(1, 7, 16, 40, 67));

TEST_P(RowKernelTest, RmsNorm) {
  const int64_t n = GetParam();
  const Floats x = randomFloats(kTokens * n, 1);
  for (std::string element : {"f32", "f16", "bf16"}) {
    Floats w = randomFloats(n, 2);
    const std::string globals =
        weight("x", x, {kTokens, n}) + typedWeight("w", w, {n}, element);
    const Floats y = runEverywhere(moduleWithIdentityHead(
        globals,
        embed("x", n) +
            "%z = fairy2.rms_norm %x, @w {epsilon = 1.0e-5 : f32} "
            ": " +
            tensor(n) + "\n",
        n, kSmallCache));
    Doubles expected;
    for (int64_t t = 0; t < kTokens; ++t) {
      double squares = 0;
      for (int64_t i = 0; i < n; ++i)
        squares += double(x[t * n + i]) * x[t * n + i];
      for (int64_t i = 0; i < n; ++i)
        expected.push_back(x[t * n + i] /
                           std::sqrt(squares / double(n) + 1e-5) * w[i]);
    }
    expectNear(y, expected, 1e-5);
  }
}

/// 128 sums, each of every 128th square, added as a tree: the order that all
/// devices keep, to the bit.
TEST(NormKernelTest, OrderOfSums) {
  for (const int64_t n : {7, 64, 100, 128, 129, 300, 1030}) {
    const Floats x = randomFloats(kTokens * n, 1);
    const Floats y = runEverywhere(moduleWithIdentityHead(
        weight("x", x, {kTokens, n}) + weight("w", Floats(n, 1.0f), {n}),
        embed("x", n) +
            "%z = fairy2.rms_norm %x, @w {epsilon = 1.0e-5 : f32} : " +
            tensor(n) + "\n",
        n, kSmallCache));
    for (int64_t t = 0; t < kTokens; ++t) {
      const float *row = &x[t * n];
      float sums[128] = {};
      for (int64_t i = 0; i < n; ++i)
        sums[i % 128] += row[i] * row[i];
      for (int64_t count = 64; count > 0; count /= 2)
        for (int64_t i = 0; i < count; ++i)
          sums[i] += sums[i + count];
      const float scale = 1 / std::sqrt(sums[0] / float(n) + 1e-5f);
      for (int64_t i = 0; i < n; ++i)
        ASSERT_EQ(y[t * n + i], row[i] * scale) << n << ", " << i;
    }
  }
}

/// Heads of odd sizes lie side by side: no vector may reach into the next.
TEST(NormKernelTest, EveryHeadOnItsOwnAndUnitOffset) {
  struct Case {
    int64_t heads, dim;
    bool unitOffset;
  };
  for (const Case c : {Case{1, 40, true}, Case{3, 16, false}, Case{4, 7, true},
                       Case{2, 35, false}, Case{5, 1, true}}) {
    const int64_t n = c.heads * c.dim;
    const Floats x = randomFloats(kTokens * n, 1);
    Floats w = randomFloats(c.dim, 2);
    const Floats y = runEverywhere(moduleWithIdentityHead(
        weight("x", x, {kTokens, n}) + weight("w", w, {c.dim}),
        embed("x", n) + "%z = fairy2.rms_norm %x, @w {epsilon = 1.0e-3 : f32" +
            ", heads = " + std::to_string(c.heads) + " : i64" +
            (c.unitOffset ? ", unit_offset" : "") + "} : " + tensor(n) + "\n",
        n, kSmallCache));
    Doubles expected;
    for (size_t head = 0; head < x.size(); head += c.dim) {
      double squares = 0;
      for (int64_t i = 0; i < c.dim; ++i)
        squares += double(x[head + i]) * x[head + i];
      for (int64_t i = 0; i < c.dim; ++i)
        expected.push_back(x[head + i] /
                           std::sqrt(squares / double(c.dim) + 1e-3) *
                           (w[i] + (c.unitOffset ? 1 : 0)));
    }
    expectNear(y, expected, 1e-5);
  }
}

TEST_P(RowKernelTest, Scale) {
  const int64_t n = GetParam();
  const Floats x = randomFloats(kTokens * n, 1);
  const Floats y = runEverywhere(moduleWithIdentityHead(
      weight("x", x, {kTokens, n}),
      embed("x", n) +
          "%z = fairy2.scale %x {factor = 0.3 : f32} : " + tensor(n) + "\n",
      n, kSmallCache));
  for (size_t i = 0; i < y.size(); ++i)
    ASSERT_EQ(y[i], x[i] * 0.3f);
}

TEST_P(RowKernelTest, SoftCapOfLogits) {
  const int64_t n = GetParam();
  Floats x = randomFloats(kTokens * n, 1, 20), identity(n * n, 0.0f);
  x[0] = 1e5f;
  x[1] = -1e5f;
  x[2] = 1e-5f;
  for (int64_t i = 0; i < n; ++i)
    identity[i * n + i] = 1;
  const Floats y = runEverywhere(moduleWithLogits(
      weight("x", x, {kTokens, n}) + weight("identity", identity, {n, n}),
      embed("x", n) + "%p = fairy2.linear %x, @identity : " + tensor(n) +
          " -> " + tensor(n) +
          "\n%y = fairy2.soft_cap %p {cap = 30.0 : f32} : " + tensor(n) + "\n",
      n, kSmallCache));
  Doubles expected;
  for (float v : x)
    expected.push_back(30 * std::tanh(v / 30.0));
  expectNear(y, expected, 2e-5);
}

/// Parts of one row, used after other buffers have come and gone.
TEST(SliceKernelTest, PartsOfARowOutliveOtherBuffers) {
  for (auto [from, n] :
       {std::pair<int64_t, int64_t>{0, 16}, {5, 7}, {32, 35}}) {
    const int64_t width = 67;
    const Floats x = randomFloats(kTokens * width, 1),
                 a = randomFloats(kTokens * n, 2);
    const Floats y = runEverywhere(moduleWithIdentityHead(
        weight("x", x, {kTokens, width}) + weight("a", a, {kTokens, n}),
        embed("x", width) + "%part = fairy2.slice %x from " +
            std::to_string(from) + " : " + tensor(width) + " -> " + tensor(n) +
            "\n" + embed("a", n) + "%twice = arith.addf %a, %a : " + tensor(n) +
            "\n%z = arith.addf %part, %twice : " + tensor(n) + "\n",
        n, kSmallCache));
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t i = 0; i < n; ++i)
        ASSERT_EQ(y[t * n + i],
                  x[t * width + from + i] + (a[t * n + i] + a[t * n + i]));
  }
}

TEST_P(RowKernelTest, Add) {
  const int64_t n = GetParam();
  const Floats a = randomFloats(kTokens * n, 1),
               b = randomFloats(kTokens * n, 2);
  const Floats y = runEverywhere(moduleWithIdentityHead(
      weight("a", a, {kTokens, n}) + weight("b", b, {kTokens, n}),
      embed("a", n) + embed("b", n) + "%z = arith.addf %a, %b : " + tensor(n) +
          "\n",
      n, kSmallCache));
  for (size_t i = 0; i < y.size(); ++i)
    ASSERT_EQ(y[i], a[i] + b[i]);
}

TEST_P(RowKernelTest, GatedActivation) {
  const int64_t n = GetParam();
  Floats gate = randomFloats(kTokens * n, 1, 3);
  const Floats up = randomFloats(kTokens * n, 2);
  gate[0] = 0;
  if (n > 4) { // Where the exponential is far out of range.
    gate[1] = 100;
    gate[2] = -100;
    gate[3] = -88;
  }
  for (std::string kind : {"silu", "gelu_tanh"}) {
    const Floats y = runEverywhere(moduleWithIdentityHead(
        weight("gate", gate, {kTokens, n}) + weight("up", up, {kTokens, n}),
        embed("gate", n) + embed("up", n) + "%z = fairy2.gated_activation " +
            kind + " %gate, %up : " + tensor(n) + "\n",
        n, kSmallCache));
    Doubles expected;
    for (size_t i = 0; i < y.size(); ++i) {
      const double x = gate[i];
      const double inner =
          std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
      expected.push_back((kind == "silu" ? x / (1 + std::exp(-x))
                                         : x * (1 + std::tanh(inner)) / 2) *
                         up[i]);
    }
    expectNear(y, expected, 1e-5);
  }
}

TEST_P(RowKernelTest, EmbeddingAndGatheredRows) {
  const int64_t n = GetParam();
  for (std::string element : {"f32", "f16", "bf16"}) {
    Floats table = randomFloats(9 * n, 1);
    table[0] = 6e-8f; // Subnormal in f16.
    const std::string globals = typedWeight("x", table, {9, n}, element);
    const std::string module = moduleWithIdentityHead(
        globals,
        embed("x", n) + "%z = fairy2.gather_rows %x, %rows : " + tensor(n) +
            ", tensor<?xi32>\n",
        n, kSmallCache);
    Step step = Step::of({8, 0, 3, 8});
    step.rows = {2, 0, 1};
    const Floats y = runEverywhere(module, {{step}});
    Floats expected;
    for (int64_t token : {3, 8, 0})
      expected.insert(expected.end(), table.begin() + token * n,
                      table.begin() + (token + 1) * n);
    ASSERT_EQ(y, expected) << element;
  }
}

/// The quantizer's definition: scale = max / 127, values by ties to even.
std::pair<Floats, float> quantize(const Floats &x) {
  float largest = 0;
  for (float v : x)
    largest = std::max(largest, std::fabs(v));
  Floats values;
  for (float v : x)
    values.push_back(largest == 0 ? 0 : std::nearbyint(v * (127.0f / largest)));
  return {values, largest / 127.0f};
}

/// Int8 weights with a scale per row, from the definition.
float int8Row(const float *row, const Floats &values, float tokenScale) {
  const auto [weights, rowScale] = quantize(Floats(row, row + values.size()));
  int64_t sum = 0;
  for (size_t i = 0; i < values.size(); ++i)
    sum += int64_t(weights[i]) * int64_t(values[i]);
  return float(sum) * (rowScale * tokenScale);
}

std::string integerTable(const Floats &table, int64_t rows, int64_t n,
                         const std::string &element) {
  return moduleWithIdentityHead(
      weight("x", table, {rows, n}),
      "%z = fairy2.quantized_embedding %tokens, @x as " + element +
          " : tensor<?xi32> -> " + tensor(n) + "\n",
      n, kSmallCache);
}

TEST_P(RowKernelTest, QuantizedEmbedding) {
  const int64_t n = GetParam(), rows = 35;
  Floats table = randomFloats(rows * n, 1);
  std::fill_n(table.begin() + 2 * n, n, 0.0f);   // A row of zeros,
  std::fill_n(table.begin() + 3 * n, n, -2.5f);  // one of extremes,
  std::fill_n(table.begin() + 4 * n, n, 1e-40f); // and one of tiny values.
  const std::vector<int32_t> tokens = {0, 34, 2, 3, 4, 16, 15, 34};
  for (const auto &[element, limit] :
       {std::pair("i8", 127.0), std::pair("i4", 7.0)}) {
    const Floats y = runEverywhere(integerTable(table, rows, n, element),
                                   {{Step::of(tokens)}});
    ASSERT_EQ(y.size(), tokens.size() * n);
    for (size_t t = 0; t < tokens.size(); ++t) {
      const float *row = table.data() + tokens[t] * n, *found = &y[t * n];
      double largest = 0;
      for (int64_t i = 0; i < n; ++i)
        largest = std::max(largest, std::fabs(double(row[i])));
      const double scale = largest / limit;
      for (int64_t i = 0; i < n; ++i) {
        if (largest < 1e-38) { // No float says what it is divided by.
          ASSERT_EQ(found[i], 0.0f);
          continue;
        }
        // A whole number of scales, and the nearest but for their rounding.
        const double code = std::nearbyint(found[i] / scale);
        ASSERT_NEAR(found[i], code * scale, 1e-6 * largest) << element;
        ASSERT_LE(std::fabs(code), limit) << element;
        ASSERT_NEAR(found[i], row[i], (0.5 + 1e-4) * scale)
            << element << ", row " << tokens[t] << ", column " << i;
      }
    }
  }
}

/// By hand: scales of exactly 1.
TEST(QuantizedEmbeddingTest, TiesGoToEven) {
  const Floats four = {7,   -6.5, -5.5, -4.5, -3.5, -2.5, -1.5, -0.5, 0.5,
                       1.5, 2.5,  3.5,  4.5,  5.5,  6.5,  -7,   3,    -1.25},
               expected4 = {7, -6, -6, -4, -4, -2, -2, 0, 0,
                            2, 2,  4,  4,  6,  6,  -7, 3, -1};
  const Floats eight = {-127, 126.5, 125.5, -0.5, 0.5, 1.5, -2.5, 63,   -64.5,
                        127,  99.4,  -99.6, 8,    -9,  100, -101, 17.5, -18.5},
               expected8 = {-127, 126, 126,  0, 0,  2,   -2,   63, -64,
                            127,  99,  -100, 8, -9, 100, -101, 18, -18};
  for (const auto &[element, row, expected] :
       {std::tuple("i4", four, expected4),
        std::tuple("i8", eight, expected8)}) {
    const auto n = int64_t(row.size());
    Floats table = randomFloats(20 * n, 1);
    std::copy(row.begin(), row.end(), table.begin() + 17 * n);
    EXPECT_EQ(
        runEverywhere(integerTable(table, 20, n, element), {{Step::of({17})}}),
        expected)
        << element;
  }
}

TEST_P(RowKernelTest, QuantizedActivationsAndInt8Linear) {
  const int64_t n = GetParam();
  for (int64_t rows : {1, 16, 35}) {
    Floats x = randomFloats(kTokens * n, 1);
    std::fill_n(x.begin() + 2 * n, n, 0.0f);  // A row of zeros,
    std::fill_n(x.begin() + 3 * n, n, -2.5f); // one of extremes,
    for (int64_t i = 0; i < n; ++i)           // and one of ties.
      x[4 * n + i] = i == 0 ? 127.0f : float(i % 9) - 3.5f;
    Floats w = randomFloats(rows * n, 2);
    std::fill_n(w.begin(), n, rows > 1 ? 0.0f : 1.0f);
    const Floats y = runEverywhere(moduleWithLogits(
        weight("x", x, {kTokens, n}) + weight("w", w, {rows, n}),
        embed("x", n) + "%v, %s = fairy2.quantize_activations %x : " +
            tensor(n) + " -> " + tensor(n, "i8") + ", tensor<?xf32>\n" +
            "%y = fairy2.int8_linear %v scales %s @w : " + tensor(n, "i8") +
            ", tensor<?xf32> -> " + tensor(rows) + "\n",
        rows, kSmallCache));
    for (int64_t t = 0; t < kTokens; ++t) {
      const auto [values, scale] =
          quantize(Floats(x.begin() + t * n, x.begin() + (t + 1) * n));
      for (int64_t r = 0; r < rows; ++r)
        ASSERT_EQ(y[t * rows + r], int8Row(w.data() + r * n, values, scale))
            << "token " << t << ", row " << r << " of " << rows;
    }
  }
}

TEST_P(RowKernelTest, DenseLinear) {
  const int64_t n = GetParam();
  const Floats x = randomFloats(kTokens * n, 1);
  for (std::string element : {"f32", "f16", "bf16"})
    for (int64_t rows : {1, 6, 32}) {
      const bool hasBias = rows != 6;
      Floats w = randomFloats(rows * n, 2), b = randomFloats(rows, 3);
      const std::string globals = weight("x", x, {kTokens, n}) +
                                  typedWeight("w", w, {rows, n}, element) +
                                  typedWeight("b", b, {rows}, element);
      const Floats y = runEverywhere(
          moduleWithLogits(globals,
                           embed("x", n) + "%y = fairy2.linear %x, @w" +
                               (hasBias ? " bias @b" : "") + " : " + tensor(n) +
                               " -> " + tensor(rows) + "\n",
                           rows, kSmallCache));
      Doubles expected;
      for (int64_t t = 0; t < kTokens; ++t)
        for (int64_t r = 0; r < rows; ++r) {
          double sum = hasBias ? b[r] : 0;
          for (int64_t i = 0; i < n; ++i)
            sum += double(w[r * n + i]) * x[t * n + i];
          expected.push_back(sum);
        }
      expectNear(y, expected, 2e-5);
    }
}

} // namespace
