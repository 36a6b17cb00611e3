// SPDX-License-Identifier: Apache-2.0
//
// Rotary positions against their formula in double precision, on every CPU
// level of this machine.
#include "test/unit/codegen/KernelRuns.h"

#include <cmath>
#include <cstdio>

using namespace fairy2;

namespace {

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
  Step step = Step::range(0, kTokens);
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

} // namespace
