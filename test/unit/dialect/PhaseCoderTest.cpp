// SPDX-License-Identifier: Apache-2.0
//
// The calibrated coder against exhaustive search and against its own loss,
// computed in double precision from what it writes.
#include "dialect/phase/PhaseCoder.h"
#include "runtime/support/Error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <thread>

using namespace fairy2;

namespace {

std::vector<float> normals(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float &v : values)
    v = normal(random);
  return values;
}

/// The mean of x x^T over samples whose features are correlated.
std::vector<float> moments(int64_t size, uint32_t seed, int64_t samples = 64) {
  std::vector<float> x = normals(samples * size, seed);
  for (int64_t s = 0; s < samples; ++s)
    for (int64_t j = 1; j < size; ++j)
      x[s * size + j] = 0.6f * x[s * size + j - 1] +
                        (1 + 0.5f * float(j % 3)) * x[s * size + j];
  std::vector<float> sums(size * size);
  for (int64_t s = 0; s < samples; ++s)
    for (int64_t a = 0; a < size; ++a)
      for (int64_t b = 0; b < size; ++b)
        sums[a * size + b] +=
            x[s * size + a] * x[s * size + b] / float(samples);
  return sums;
}

/// A matrix with metrics that are its own.
struct Problem {
  int64_t rows, columns;
  std::vector<float> weights, h;
  InputMetric inputs;
  OutputMetric outputs;

  Problem(int64_t rows, int64_t columns, uint32_t seed)
      : rows(rows), columns(columns), weights(normals(rows * columns, seed)),
        h(moments(columns, seed + 1)),
        inputs(h.data(), columns, 0.03f, "h", serialFor), outputs(rows) {
    for (int64_t b = 0; b < outputs.blocks(); ++b) {
      const int64_t size = 2 * outputs.pairs();
      const std::vector<float> g = moments(size, seed + 2 + uint32_t(b));
      for (int64_t r = 0; r < size; ++r)
        for (int64_t c = 0; c < size; ++c)
          if (realRow(b, r) >= 0 && realRow(b, c) >= 0)
            outputs.block(b)[r * size + c] = g[r * size + c];
    }
    outputs.damp(0.03f);
  }

  int64_t realRow(int64_t block, int64_t r) const {
    const int64_t i = r % outputs.pairs();
    return i < outputs.pairsOf(block)
               ? r / outputs.pairs() * (rows / 2) + block * outputs.pairs() + i
               : -1;
  }

  CodingTask task() const {
    CodingTask task;
    task.weights = weights.data();
    task.rows = rows;
    task.columns = columns;
    task.inputs = &inputs;
    task.outputs = &outputs;
    task.name = "w";
    return task;
  }

  /// tr(G dA H dA^T) / 2 in double precision, with the damped metrics.
  double loss(const std::vector<float> &from,
              const std::vector<float> &to) const {
    std::vector<double> e(rows * columns), eh(e.size());
    for (size_t k = 0; k < e.size(); ++k)
      e[k] = double(from[k]) - to[k];
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t a = 0; a < columns; ++a)
        for (int64_t b = 0; b < columns; ++b)
          eh[r * columns + inputs.columnAt(b)] +=
              e[r * columns + inputs.columnAt(a)] *
              inputs.moments()[a * columns + b];
    double sum = 0;
    for (int64_t b = 0; b < outputs.blocks(); ++b)
      for (int64_t r = 0; r < 2 * outputs.pairs(); ++r)
        for (int64_t s = 0; s < 2 * outputs.pairs(); ++s) {
          const int64_t x = realRow(b, r), y = realRow(b, s);
          if (x < 0 || y < 0)
            continue;
          const double g = outputs.block(b)[r * 2 * outputs.pairs() + s];
          for (int64_t c = 0; c < columns; ++c)
            sum += g * eh[x * columns + c] * e[y * columns + c] / 2;
        }
    return sum;
  }
  double loss(const PhaseMatrix &q) const {
    return loss(weights, dequantizePhases(q));
  }
};

CodingOptions withStages(int stages, int rounds = 8) {
  CodingOptions options;
  options.stages = stages;
  options.rounds = rounds;
  return options;
}

/// Gives an entry of all sets the codes whose two bits each are in `bits`.
void setEntry(PhaseMatrix &q, int64_t entry, int bits) {
  for (int s = 0; s < q.sets(); ++s)
    q.codes[s * q.rows * q.columns + entry] = Phase(bits >> 2 * s & 3);
}

TEST(PhaseCoderTest, IsNearTheBestOfAllCodes) {
  // A 4 x 4 matrix has 4 entries; at one stage each has 16 codes.
  double found = 0, least = 0;
  for (uint32_t seed = 0; seed < 24; ++seed) {
    const Problem problem(4, 4, 100 * seed);
    PhaseMatrix q = codePhases(problem.task(), withStages(1));
    const double own = problem.loss(q);
    double best = own;
    for (int codes = 0; codes < 1 << 16; ++codes) {
      for (int64_t entry = 0; entry < 4; ++entry)
        setEntry(q, entry, codes >> 4 * entry & 15);
      best = std::min(best, problem.loss(q));
    }
    found += own;
    least += best;
  }
  EXPECT_LT(found, 1.1 * least);
}

TEST(PhaseCoderTest, NoOtherCodesOfOneEntryAreMuchBetter) {
  // Of two stages each entry has 256.
  double found = 0, least = 0;
  for (uint32_t seed = 0; seed < 24; ++seed) {
    const Problem problem(4, 4, 100 * seed);
    const PhaseMatrix q = codePhases(problem.task(), withStages(2));
    const double own = problem.loss(q);
    double best = own;
    for (int64_t entry = 0; entry < 4; ++entry)
      for (int codes = 0; codes < 256; ++codes) {
        PhaseMatrix other = q;
        setEntry(other, entry, codes);
        best = std::min(best, problem.loss(other));
      }
    found += own;
    least += best;
  }
  EXPECT_LT(found, 1.01 * least);
}

TEST(PhaseCoderTest, NoStepRaisesTheLoss) {
  for (const auto &[rows, columns] :
       {std::pair<int64_t, int64_t>(12, 20), {290, 36}}) {
    const Problem problem(rows, columns, 7);
    for (int stages : {1, 2, 3, 6}) {
      CodingOptions options = withStages(stages, 0);
      double before = problem.loss(codePhases(problem.task(), options));
      const double start = before;
      // A round ends in a fit but for the last: steps one by one.
      for (const auto &[rounds, last] :
           {std::pair(1, 1), {1, 2}, {2, 0}, {2, 1}, {3, 0}, {3, 1}, {5, 4}}) {
        options.rounds = rounds;
        options.sweeps = 2;
        options.lastSweeps = last;
        const double now = problem.loss(codePhases(problem.task(), options));
        EXPECT_LE(now, before * (1 + 1e-5)) << stages << ' ' << rounds;
        before = now;
      }
      EXPECT_LT(before, 0.95 * start) << stages;
    }
  }
}

TEST(PhaseCoderTest, BeatsRoundingInItsMetric) {
  const Problem problem(64, 48, 3);
  for (int stages : {2, 3, 4}) {
    const PhaseScheme scheme = {stages, ScaleGranularity::Row,
                                QuantizeMode::Canonical, StageScales::Binary,
                                ScaleGrid::Int8};
    const PhaseMatrix rounded = quantizePhases(
        problem.weights.data(), problem.rows, problem.columns, scheme, "w");
    CodingReport report;
    const PhaseMatrix coded =
        codePhases(problem.task(), withStages(stages), serialFor, &report);
    EXPECT_EQ(coded.scheme, scheme);
    EXPECT_LT(problem.loss(coded), 0.5 * problem.loss(rounded));
    EXPECT_NEAR(report.loss, problem.loss(coded), 1e-3 * report.loss);
    const std::vector<float> nothing(problem.weights.size());
    const double norm = problem.loss(problem.weights, nothing);
    EXPECT_NEAR(report.norm, norm, 1e-3 * norm);
  }
}

TEST(PhaseCoderTest, TakesBackDriftAndResidual) {
  // Where D = A drift + residual = E H, the target is A + E.
  const Problem problem(16, 12, 11);
  const int64_t n = problem.columns;
  const std::vector<float> shift = normals(problem.rows * n, 12);
  std::vector<float> drift = normals(n * n, 13);
  std::vector<float> residual(problem.rows * n), target = problem.weights;
  for (int64_t r = 0; r < problem.rows; ++r)
    for (int64_t a = 0; a < n; ++a) {
      target[r * n + a] += shift[r * n + a];
      for (int64_t b = 0; b < n; ++b) {
        residual[r * n + problem.inputs.columnAt(b)] +=
            shift[r * n + problem.inputs.columnAt(a)] *
            problem.inputs.moments()[a * n + b];
        residual[r * n + b] -= problem.weights[r * n + a] * drift[a * n + b];
      }
    }
  CodingTask task = problem.task();
  task.drift = drift.data();
  task.residual = residual.data();
  CodingTask direct = problem.task();
  direct.weights = target.data();
  const PhaseMatrix q = codePhases(task, withStages(6));
  const PhaseMatrix expected = codePhases(direct, withStages(6));
  EXPECT_LT(problem.loss(target, dequantizePhases(q)),
            1.1 * problem.loss(target, dequantizePhases(expected)));
}

TEST(PhaseCoderTest, GiantWeightsAreNotClipped) {
  for (int stages : {2, 4}) {
    Problem problem(16, 64, 5);
    for (int64_t row : {3, 9})
      problem.weights[row * 64 + 17] = 60;
    const std::vector<float> dense =
        dequantizePhases(codePhases(problem.task(), withStages(stages)));
    for (int64_t row : {3, 9})
      EXPECT_NEAR(dense[row * 64 + 17], 60, 12) << stages;
  }
}

TEST(PhaseCoderTest, RowsOfZerosStayZero) {
  Problem problem(8, 12, 6);
  for (int64_t row : {1, 2, 6}) // 2 and 6 are one complex row
    std::fill_n(problem.weights.begin() + row * 12, 12, 0.f);
  const PhaseMatrix q = codePhases(problem.task(), withStages(2));
  for (int64_t row = 0; row < 8; ++row)
    EXPECT_EQ(q.rowFactors[row] == 0, row == 1 || row == 2 || row == 6) << row;
  for (float value : dequantizePhases(q))
    EXPECT_TRUE(std::isfinite(value));
}

TEST(PhaseCoderTest, FactorsArePowersOfTheSixteenthRoot) {
  const Problem problem(20, 16, 8);
  for (float factor : codePhases(problem.task(), withStages(3)).rowFactors) {
    const double steps = 16 * std::log2(double(factor));
    EXPECT_NEAR(steps, std::round(steps), 1e-4);
  }
}

TEST(PhaseCoderTest, SingularMetricsAreCodedIn) {
  // Inputs that are always zero, and ones that say the same twice.
  const std::vector<float> zeros(64), ones(64, 1.f);
  const std::vector<float> weights = normals(6 * 8, 9);
  for (const auto *h : {&zeros, &ones}) {
    const InputMetric inputs(h->data(), 8, 0.03f, "h", serialFor);
    EXPECT_EQ(inputs.isZero(), h == &zeros);
    OutputMetric outputs(6); // no loss is known
    outputs.damp(0.03f);
    CodingTask task;
    task.weights = weights.data();
    task.rows = 6;
    task.columns = 8;
    task.inputs = &inputs;
    task.outputs = &outputs;
    CodingReport report;
    codePhases(task, withStages(4), serialFor, &report);
    EXPECT_LT(report.loss, 0.02 * report.norm);
  }
}

TEST(PhaseCoderTest, ResultDoesNotDependOnThePartition) {
  const Problem problem(1300, 24, 10); // two groups of blocks
  const auto threads = [](int64_t count, const auto &body) {
    std::vector<std::thread> all;
    for (int64_t k = 0; k < count; ++k)
      all.emplace_back([&body, k] { body(k, k + 1); });
    for (std::thread &thread : all)
      thread.join();
  };
  const InputMetric inputs(problem.h.data(), 24, 0.03f, "h", threads);
  CodingTask task = problem.task();
  const PhaseMatrix one = codePhases(task, withStages(3));
  task.inputs = &inputs;
  CodingReport report;
  const PhaseMatrix two = codePhases(task, withStages(3), threads, &report);
  EXPECT_EQ(one.codes, two.codes);
  EXPECT_EQ(one.rowFactors, two.rowFactors);
}

TEST(PhaseCoderTest, AllInstructionSetsGiveEqualBytes) {
  // Extents that no tile divides, drift, and more than one span of columns.
  const Problem problem(310, 166, 21);
  const std::vector<float> drift = normals(166 * 166, 22);
  CodingTask task = problem.task();
  task.drift = drift.data();
  int count;
  const CoderKernels *const *all = runnableCoderKernels(count);
  EXPECT_EQ(all[count - 1], &coderKernels());
  PhaseMatrix first;
  for (int k = 0; k < count; ++k) {
    const InputMetric inputs(problem.h.data(), 166, 0.03f, "h", serialFor,
                             *all[k]);
    task.inputs = &inputs;
    CodingOptions options = withStages(3, 4);
    options.kernels = all[k];
    const PhaseMatrix q = codePhases(task, options);
    if (k == 0)
      first = q;
    EXPECT_EQ(q.codes, first.codes) << all[k]->name;
    EXPECT_EQ(q.rowFactors, first.rowFactors) << all[k]->name;
  }
}

TEST(PhaseCoderTest, FaultsAreNamed) {
  Problem problem(4, 4, 1);
  CodingTask task = problem.task();
  task.rows = 3;
  const auto message = [](const auto &body) -> std::string {
    try {
      body();
      return "";
    } catch (const Error &error) {
      return error.what();
    }
  };
  EXPECT_EQ(message([&] { codePhases(task, withStages(2)); }),
            "w: expected even extents, found 3 x 4");
  problem.weights[6] = NAN;
  EXPECT_EQ(message([&] { codePhases(problem.task(), withStages(2)); }),
            "w: expected finite values, found NaN at row 1, column 2");
  std::vector<float> h(16);
  h[5] = HUGE_VALF;
  EXPECT_EQ(message([&] { InputMetric(h.data(), 4, 0.03f, "h", serialFor); }),
            "h: expected finite values, found infinity at row 1, column 1");
}

} // namespace
