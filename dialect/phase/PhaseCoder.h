// SPDX-License-Identifier: Apache-2.0
//
// Codes of binary stages (BinaryStages.h) that keep what a matrix does to the
// inputs that it sees, in place of the nearest ones: of the error dA they lower
// tr(G dA H dA^T), with moments H of inputs and G of the loss's gradients at
// outputs. Plain C++.
#pragma once

#include "dialect/phase/CoderKernels.h"
#include "dialect/phase/Phase.h"

namespace fairy2 {

/// H of the linear maps that read one input, ready for coding: its complex
/// columns in the order in which they are coded, and its Cholesky factor.
class InputMetric {
public:
  /// `moments` is the mean of x x^T, [columns, columns] row-major, to which
  /// `damping` times its mean diagonal is added. An input that is always zero
  /// counts as one whose features all have the same power. Throws Error naming
  /// `name` when a moment is not finite.
  InputMetric(const float *moments, int64_t columns, float damping,
              const std::string &name, const ParallelFor &parallelFor,
              const CoderKernels &kernels = coderKernels());

  int64_t columns() const { return count; }
  /// Whether the input is always zero.
  bool isZero() const { return zero; }
  /// The real column at a place of the order. Complex column j is real columns
  /// j and columns / 2 + j, which stand side by side; the last pair is coded
  /// first.
  int64_t columnAt(int64_t place) const { return order[size_t(place)]; }
  /// Damped H in that order, and L of L L^T = H; above the diagonal L is 0.
  const float *moments() const { return matrix.data(); }
  const float *factor() const { return lower.data(); }

private:
  int64_t count;
  bool zero = false;
  std::vector<int64_t> order;
  std::vector<float> matrix, lower;
};

/// G in blocks on its diagonal: rows i and n + i of A, a complex row, are
/// always in one block, and a block has complex rows that follow one another.
/// Small matrices are one block; blocks of 16 complex rows cost stories260K
/// 0.008 nats at 2 stages.
class OutputMetric {
public:
  static constexpr int64_t kWholePairs = 128, kMostPairs = 32;

  /// Zeros, for a matrix of that many real rows.
  explicit OutputMetric(int64_t realRows);

  int64_t blocks() const { return blockCount; }
  /// Complex rows of every block, but that the last one may have less.
  int64_t pairs() const { return blockPairs; }
  int64_t pairsOf(int64_t block) const;
  /// [2 pairs, 2 pairs] of a block: its rows i, then its rows n + i.
  float *block(int64_t b) {
    return values.data() + size_t(b * 4 * blockPairs * blockPairs);
  }
  const float *block(int64_t b) const {
    return values.data() + size_t(b * 4 * blockPairs * blockPairs);
  }
  std::span<float> all() { return values; }
  std::span<const float> all() const { return values; }
  /// Adds `damping` times the mean diagonal to the diagonal. Zeros become ones
  /// there: rows of which no loss is known count alike.
  void damp(float damping);

private:
  int64_t realRows, blockPairs, blockCount;
  std::vector<float> values;
};

/// A matrix and what is known of its surroundings. Pointers are to row-major
/// float32.
struct CodingTask {
  const float *weights = nullptr; ///< A, [rows, columns]
  int64_t rows = 0, columns = 0;
  const InputMetric *inputs = nullptr;
  const OutputMetric *outputs = nullptr;
  /// Mean of (x - x^) x^^T, where x is the input that A was made for and x^ the
  /// one that it gets; null: they are the same.
  const float *drift = nullptr;
  /// Mean of e x^^T, [rows, columns]: another error e of what A's output is
  /// added to, which it shall take back; null: none.
  const float *residual = nullptr;
  std::string name; ///< in errors
};

struct CodingOptions {
  int stages = 2;
  ScaleGrid grid = ScaleGrid::Int8;
  /// Rounds of descent, each followed by a fit of the factors but the last.
  int rounds = 8;
  int sweeps = 3, lastSweeps = 6;
  /// Null: the best that this machine runs; all give equal codes.
  const CoderKernels *kernels = nullptr;
};

struct CodingReport {
  /// tr(G dA H dA^T) / 2 for what shall be coded, in damped metrics, and of it
  /// alone.
  double loss = 0, norm = 0;
  /// Squared Frobenius norms of A and of the error.
  QuantizationError weights;
};

/// The power of 2^(1/16) that is nearest in its logarithm, so that 8 bits would
/// hold a row's factor; 0 of 0.
float nearestRowFactor(float factor);

/// Codes A + D H^-1, D = A drift + residual, with scales per row, whose factors
/// are powers of 2^(1/16): of a search over multiples of each row's root mean
/// square, then of fits. Starts from feedback of rounding errors, column pair
/// by column pair, and goes on by coordinate descent; no step raises the loss.
/// Rows of zeros get the factor 0. Throws Error naming the matrix when an
/// extent is odd or a value is not finite.
PhaseMatrix codePhases(const CodingTask &task, const CodingOptions &options,
                       const ParallelFor &parallelFor = serialFor,
                       CodingReport *report = nullptr);

} // namespace fairy2
