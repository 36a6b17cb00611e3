// SPDX-License-Identifier: Apache-2.0
//
// Every kernel besides those on phases against its formula in double
// precision, at odd sizes, on every CPU level that this machine runs; and the
// bits of all levels against each other.
#include "test/unit/codegen/CompiledModule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <random>

using namespace fairy2;

namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

constexpr int64_t kTokens = 5;

Floats randomFloats(int64_t count, uint32_t seed, float deviation = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  Floats values(count);
  for (float &v : values)
    v = normal(random);
  return values;
}

std::string tensor(int64_t features, const char *element = "f32") {
  return "tensor<?x" + std::to_string(features) + "x" + element + ">";
}

std::string typedWeight(const std::string &name, Floats &values,
                        const std::vector<int64_t> &shape,
                        const std::string &element) {
  const std::string attribute = denseAttribute(values, shape, element);
  return "fairy2.weight @" + name + " : " +
         attribute.substr(attribute.find("tensor<")) + " = " + attribute + "\n";
}

/// "%name = rows of @name", inputs of a kernel.
std::string embed(const std::string &name, int64_t features) {
  return "%" + name + " = fairy2.embedding %tokens, @" + name +
         " : tensor<?xi32> -> " + tensor(features) + "\n";
}

/// Compiles for every level and demands equal bits for all levels, thread
/// counts and splits into calls, which `split` lists. Returns the logits.
Floats runEverywhere(const std::string &module,
                     const std::vector<std::vector<Step>> &splits,
                     int64_t slots = 1, int64_t context = 16) {
  Floats first;
  for (const CpuTarget *target : runnableTargets()) {
    CompiledModule compiled(module, *target);
    for (const std::vector<Step> &split : splits)
      for (int threads : {1, 3}) {
        compiled.resetCache(slots, context);
        Floats all;
        for (const Step &step : split) {
          const Floats y = compiled.run(step, threads);
          all.insert(all.end(), y.begin(), y.end());
        }
        if (first.empty())
          first = all;
        EXPECT_EQ(all, first) << target->name.str() << ", " << threads
                              << " threads, " << split.size() << " steps";
      }
  }
  return first;
}

Floats runEverywhere(const std::string &module) {
  std::vector<Step> oneByOne;
  for (int32_t t = 0; t < kTokens; ++t)
    oneByOne.push_back(Step::of({t}));
  return runEverywhere(module, {{Step::of({0, 1, 2, 3, 4})}, oneByOne});
}

void expectNear(const Floats &got, const Doubles &expected, double tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], expected[i], tolerance) << "element " << i;
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

/// Frequencies of `half` pairs, and their list in an attribute.
Floats frequenciesOf(double theta, int64_t half, std::string &list) {
  Floats frequencies;
  for (int64_t j = 0; j < half; ++j) {
    frequencies.push_back(float(std::pow(theta, -double(j) / double(half))));
    char text[32];
    std::snprintf(text, sizeof(text), "%.9e", frequencies.back());
    list += (j ? ", " : "") + std::string(text);
  }
  return frequencies;
}

struct RopeShape {
  int64_t heads, dim, turned;
};

Doubles ropeReference(const RopeShape &shape,
                      const std::vector<int32_t> &positions, const Floats &x,
                      const Floats &frequencies, double magnitude) {
  Doubles y(x.begin(), x.end());
  const int64_t half = shape.turned / 2;
  for (size_t head = 0; head < x.size(); head += shape.dim)
    for (int64_t j = 0; j < half; ++j) {
      const double angle =
          positions[head / (shape.heads * shape.dim)] * double(frequencies[j]);
      const double x1 = x[head + j], x2 = x[head + j + half];
      y[head + j] = magnitude * (x1 * std::cos(angle) - x2 * std::sin(angle));
      y[head + j + half] =
          magnitude * (x2 * std::cos(angle) + x1 * std::sin(angle));
    }
  return y;
}

std::string ropeTable(const std::string &name, const std::string &list,
                      int64_t features, const std::string &more = "") {
  return "%" + name +
         " = fairy2.rope_table %positions {inverse_frequencies = "
         "array<f32: " +
         list + ">, max_positions = 3000 : i64" + more +
         "} : tensor<?xi32> -> " + tensor(features) + "\n";
}

std::string rope(const std::string &name, const std::string &table,
                 const RopeShape &shape) {
  return "%" + name + " = fairy2.rope %x, %" + table +
         " {heads = " + std::to_string(shape.heads) +
         " : i64} : " + tensor(shape.heads * shape.dim) + ", " +
         tensor(shape.turned) + "\n";
}

Step ropeStep() {
  Step step = Step::of({0, 1, 2, 3, 4});
  step.positions = {0, 1, 63, 1777, 2999}; // Of 3000, which is no power of two.
  return step;
}

TEST(RopeKernelTest, TurnsEveryHeadByItsAngles) {
  for (const RopeShape c :
       {RopeShape{1, 2, 2}, RopeShape{3, 8, 8}, RopeShape{2, 10, 10},
        RopeShape{4, 64, 64}, RopeShape{3, 8, 6}, RopeShape{2, 64, 48}}) {
    const int64_t n = c.heads * c.dim;
    const Floats x = randomFloats(kTokens * n, 1);
    std::string list;
    const Floats frequencies = frequenciesOf(10000, c.turned / 2, list);
    const std::string module = moduleWithIdentityHead(
        weight("x", x, {kTokens, n}),
        embed("x", n) + ropeTable("t", list, c.turned) + rope("z", "t", c), n,
        kSmallCache);
    const Step step = ropeStep();
    const Floats y = runEverywhere(module, {{step}});
    expectNear(y, ropeReference(c, step.positions, x, frequencies, 1), 1e-5);
  }
}

/// Two tables of one model do not get in each other's way.
TEST(RopeKernelTest, TablesOfDifferentFrequenciesAndMagnitudes) {
  const RopeShape shape{2, 8, 8};
  const int64_t n = 16;
  const Floats x = randomFloats(kTokens * n, 1);
  std::string slow, fast;
  const Floats slowOnes = frequenciesOf(1e6, 4, slow),
               fastOnes = frequenciesOf(10, 4, fast);
  const std::string module = moduleWithIdentityHead(
      weight("x", x, {kTokens, n}),
      embed("x", n) + ropeTable("t1", slow, 8) +
          ropeTable("t2", fast, 8, ", magnitude = 1.5 : f32") +
          rope("a", "t1", shape) + rope("b", "t2", shape) +
          "%z = arith.addf %a, %b : " + tensor(n) + "\n",
      n, kSmallCache);
  const Step step = ropeStep();
  const Floats y = runEverywhere(module, {{step}});
  Doubles expected = ropeReference(shape, step.positions, x, slowOnes, 1);
  const Doubles more = ropeReference(shape, step.positions, x, fastOnes, 1.5);
  for (size_t i = 0; i < expected.size(); ++i)
    expected[i] += more[i];
  expectNear(y, expected, 2e-5);
}

TEST(RopeKernelTest, LongFrequenciesAreForLongContexts) {
  const RopeShape shape{2, 8, 8};
  const int64_t n = 16;
  const Floats x = randomFloats(kTokens * n, 1);
  std::string usual, stretched;
  const Floats usualOnes = frequenciesOf(1e4, 4, usual),
               longOnes = frequenciesOf(1e7, 4, stretched);
  const std::string module = moduleWithIdentityHead(
      weight("x", x, {kTokens, n}),
      embed("x", n) +
          ropeTable("t", usual, 8,
                    ", long_frequencies = array<f32: " + stretched +
                        ">, long_after = 32 : i64") +
          rope("z", "t", shape),
      n, kSmallCache);
  const Step step = ropeStep();
  for (int64_t context : {16, 32, 48}) {
    const Floats y = runEverywhere(module, {{step}}, 1, context);
    expectNear(y,
               ropeReference(shape, step.positions, x,
                             context > 32 ? longOnes : usualOnes, 1),
               1e-5);
  }
}

struct AttentionShape {
  int64_t heads, kvHeads, dim, layers;
  int64_t window = 0; ///< 0: all positions
  double cap = 0;     ///< 0: none
  std::string element = "f32"; ///< of the cache
};

/// What the cache gives back for keys or values with heads of `dim` numbers.
Floats throughCache(Floats values, int64_t dim, const std::string &element) {
  if (element == "f16")
    denseAttribute(values, {int64_t(values.size())}, "f16"); // Rounds.
  if (element == "i8")
    for (size_t head = 0; head < values.size(); head += size_t(dim)) {
      float largest = 0;
      for (int64_t d = 0; d < dim; ++d)
        largest = std::max(largest, std::abs(values[head + d]));
      for (int64_t d = 0; d < dim; ++d)
        values[head + d] = std::nearbyint(values[head + d] * (127 / largest)) *
                           (largest / 127);
    }
  return values;
}

/// Two conversations, tokens interleaved, the first one longer than a block of
/// 16 positions; positions of a slot ascend.
Step conversations(int32_t tokens) {
  Step step;
  int32_t next[2] = {0, 0};
  for (int32_t t = 0; t < tokens; ++t) {
    const int32_t slot = t % 3 == 1 ? 1 : 0;
    step.tokens.push_back(t);
    step.slots.push_back(slot);
    step.positions.push_back(next[slot]++);
    step.rows.push_back(t);
  }
  return step;
}

Step slice(const Step &step, size_t begin, size_t end) {
  Step part;
  for (size_t i = begin; i < end; ++i) {
    part.tokens.push_back(step.tokens[i]);
    part.slots.push_back(step.slots[i]);
    part.positions.push_back(step.positions[i]);
    part.rows.push_back(int32_t(i - begin));
  }
  return part;
}

Doubles attentionReference(const AttentionShape &shape, const Step &step,
                           const Floats &q, const Floats &k, const Floats &v,
                           double scale) {
  const int64_t dim = shape.dim, n = shape.heads * dim,
                kv = shape.kvHeads * dim;
  Doubles y(step.tokens.size() * n, 0.0);
  for (size_t t = 0; t < step.tokens.size(); ++t)
    for (int64_t h = 0; h < shape.heads; ++h) {
      const int64_t kvHead = h / (shape.heads / shape.kvHeads);
      Doubles weights(step.tokens.size(), 0.0);
      double largest = -1e300, total = 0;
      auto visible = [&](size_t s) {
        const int32_t distance = step.positions[t] - step.positions[s];
        return step.slots[s] == step.slots[t] && distance >= 0 &&
               (!shape.window || distance < shape.window);
      };
      for (size_t s = 0; s < weights.size(); ++s)
        if (visible(s)) {
          for (int64_t d = 0; d < dim; ++d)
            weights[s] +=
                double(q[t * n + h * dim + d]) * k[s * kv + kvHead * dim + d];
          weights[s] *= scale;
          if (shape.cap)
            weights[s] = shape.cap * std::tanh(weights[s] / shape.cap);
          largest = std::max(largest, weights[s]);
        }
      for (size_t s = 0; s < weights.size(); ++s)
        if (visible(s))
          total += weights[s] = std::exp(weights[s] - largest);
      for (size_t s = 0; s < weights.size(); ++s)
        if (visible(s))
          for (int64_t d = 0; d < dim; ++d)
            y[t * n + h * dim + d] +=
                weights[s] / total * v[s * kv + kvHead * dim + d];
    }
  return y;
}

/// Runs `shape` over `tokens` tokens, in several splits, on every level.
void checkAttention(const AttentionShape &shape, int32_t tokens,
                    int64_t context) {
  const int64_t n = shape.heads * shape.dim, kv = shape.kvHeads * shape.dim;
  const Floats q = randomFloats(tokens * n, 1),
               k = randomFloats(tokens * kv, 2),
               v = randomFloats(tokens * kv, 3);
  std::string more;
  if (shape.window)
    more += ", window = " + std::to_string(shape.window) + " : i64";
  if (shape.cap)
    more += ", soft_cap = " + std::to_string(shape.cap) + " : f32";
  const std::string cache =
      "!fairy2.kv_cache<layers = " + std::to_string(shape.layers) +
      ", heads = " + std::to_string(shape.kvHeads) +
      ", dim = " + std::to_string(shape.dim) +
      ", element = " + shape.element + ">";
  std::string body = embed("q", n) + embed("k", kv) + embed("v", kv);
  // Other layers' entries must not disturb the last one's.
  for (int64_t layer = 0; layer < shape.layers; ++layer)
    body +=
        std::string(layer + 1 == shape.layers ? "%z" : "%other") +
        (layer + 1 == shape.layers ? "" : std::to_string(layer)) +
        " = fairy2.attention %q, %k, " +
        (layer + 1 == shape.layers ? "%v" : "%k") +
        " cache %cache[%slots, %positions] {layer = " + std::to_string(layer) +
        " : i64, scale = 0.7 : f32" + more + "} : " + tensor(n) + ", " +
        tensor(kv) + ", " + cache + ", tensor<?xi32>\n";
  const std::string module = moduleWithIdentityHead(
      weight("q", q, {tokens, n}) + weight("k", k, {tokens, kv}) +
          weight("v", v, {tokens, kv}),
      body, n, cache);
  const Step all = conversations(tokens);
  std::vector<Step> oneByOne, uneven;
  for (size_t i = 0; i < size_t(tokens); ++i)
    oneByOne.push_back(slice(all, i, i + 1));
  const int32_t sizes[] = {5, 11, 1, 12};
  for (int32_t begin = 0, end, i = 0; begin < tokens; begin = end, ++i) {
    end = std::min(tokens, begin + sizes[i % 4]);
    uneven.push_back(slice(all, begin, end));
  }
  const Floats y = runEverywhere(module, {oneByOne, uneven}, 2, context);
  expectNear(y,
             attentionReference(shape, all, q,
                                throughCache(k, shape.dim, shape.element),
                                throughCache(v, shape.dim, shape.element), 0.7),
             1e-5);
}

TEST(AttentionKernelTest, SlotsGroupsAndSplitBatches) {
  for (const AttentionShape shape :
       {AttentionShape{1, 1, 4, 1}, AttentionShape{4, 2, 8, 2},
        AttentionShape{3, 1, 10, 1}, AttentionShape{6, 3, 16, 3},
        AttentionShape{2, 2, 48, 1}})
    checkAttention(shape, 29, 32); // 20 tokens in one slot, 9 in the other.
}

/// Windows of every relation to the blocks of 16 positions.
TEST(AttentionKernelTest, WindowsAndSoftCaps) {
  for (int64_t window : {1, 5, 16, 17, 40})
    checkAttention({4, 2, 8, 2, window}, 90, 64); // 60 tokens and 30.
  checkAttention({2, 1, 16, 1, 0, 1.5}, 90, 64);
  checkAttention({2, 2, 10, 1, 23, 0.8}, 90, 64);
}

TEST(AttentionKernelTest, CachesOfHalvesAndBytes) {
  for (const char *element : {"f16", "i8"}) {
    checkAttention({4, 2, 8, 2, 0, 0, element}, 29, 32);
    checkAttention({3, 1, 10, 1, 0, 0, element}, 29, 32);
    checkAttention({6, 3, 16, 3, 17, 0, element}, 90, 64);
    checkAttention({2, 2, 48, 1, 0, 1.5, element}, 90, 64);
  }
}

/// With one position the softmax is 1, so values come back as they were stored.
TEST(AttentionKernelTest, HalvesAreRoundedToNearestEvenAndSaturate) {
  Floats values = {0,       -0.0f,       1,           65504,      65519.99f,
                   65520,   -1e30f,      0x1p-14f,    0x1p-24f,   0x1p-25f,
                   3e-8f,   0x1.8p-24f,  0x1.003p0f,  0x1.001p0f, 0x1.002p0f,
                   0x1.006p0f, 0x1.ffep-15f, -0x1.5p-20f, 1e-20f, 2049};
  const Floats more = randomFloats(236, 7, 1e-4f);
  values.insert(values.end(), more.begin(), more.end());
  const int64_t n = int64_t(values.size());
  const std::string cache = "!fairy2.kv_cache<layers = 1, heads = 1, dim = " +
                            std::to_string(n) + ", element = f16>";
  const Floats y = runEverywhere(
      moduleWithIdentityHead(
          weight("v", values, {1, n}),
          embed("v", n) +
              "%z = fairy2.attention %v, %v, %v cache %cache[%slots, "
              "%positions] {layer = 0 : i64, scale = 0.0 : f32} : " +
              tensor(n) + ", " + tensor(n) + ", " + cache + ", tensor<?xi32>\n",
          n, cache),
      {{Step::of({0})}});
  for (float &value : values)
    value = std::clamp(value, -65504.0f, 65504.0f);
  EXPECT_EQ(y, throughCache(values, n, "f16"));
}

} // namespace
