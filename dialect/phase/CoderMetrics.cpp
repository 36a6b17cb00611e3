// SPDX-License-Identifier: Apache-2.0
//
// The metrics of PhaseCoder.h: order and Cholesky factor of the inputs', and
// the blocks of the outputs'.
#include "dialect/phase/CoderProducts.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fairy2 {
namespace {

/// Rows of a product that a thread makes at a time.
constexpr int64_t kRows = 256;

/// Of a square of at most kTriangle, in place and below the diagonal.
void factorizeSquare(float *lower, int64_t stride, int64_t size) {
  for (int64_t i = 0; i < size; ++i) {
    float *row = lower + i * stride;
    for (int64_t j = 0; j <= i; ++j) {
      const float *other = lower + j * stride;
      float sum = row[j];
      for (int64_t k = 0; k < j; ++k)
        sum -= row[k] * other[k];
      row[j] = i == j ? std::sqrt(sum) : sum / other[j];
    }
  }
}

/// Replaces a symmetric matrix by its Cholesky factor. One that rounding has
/// made indefinite gives NaN.
void factorize(const CoderKernels &kernels, std::vector<float> &lower,
               int64_t size, const ParallelFor &parallelFor) {
  for (int64_t begin = 0; begin < size; begin += kTriangle) {
    const int64_t end = std::min(begin + kTriangle, size);
    const int64_t width = end - begin;
    float *square = lower.data() + begin * (size + 1);
    factorizeSquare(square, size, width);
    const int64_t tasks = (size - end + kRows - 1) / kRows;
    const auto part = [&](int64_t k, int64_t column) {
      const int64_t first = end + k * kRows;
      return Rows{lower.data() + first * size + column,
                  std::min(kRows, size - first), size};
    };
    parallelFor(tasks, [&](int64_t first, int64_t last) {
      std::vector<float> transposed(size_t(width * width));
      for (int64_t k = first; k < last; ++k)
        divideByTransposed(kernels, square, size, width, part(k, begin),
                           transposed.data());
    });
    parallelFor(tasks, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        // Long rows beside short ones, for threads to have as much to do.
        const int64_t k = i % 2 ? tasks - 1 - i / 2 : i / 2;
        const Rows rows = part(k, begin);
        // Up to the diagonal, and a little of what nobody reads.
        addProduct(kernels, rows, {lower.data() + end * size + begin, 1, size},
                   width, k * kRows + rows.count, part(k, end), true);
      }
    });
  }
  for (int64_t i = 0; i < size; ++i)
    std::fill_n(lower.begin() + i * size + i + 1, size - i - 1, 0.f);
}

} // namespace

InputMetric::InputMetric(const float *moments, int64_t columns, float damping,
                         const std::string &name,
                         const ParallelFor &parallelFor,
                         const CoderKernels &kernels)
    : count(columns), order(size_t(columns)) {
  for (int64_t row = 0; row < columns; ++row)
    requireFinite(name, row, columns, moments + row * columns);
  const int64_t m = columns / 2;
  std::vector<std::pair<double, int64_t>> pairs; // product of powers, column
  for (int64_t j = 0; j < m; ++j)
    pairs.emplace_back(double(moments[j * columns + j]) *
                           moments[(m + j) * columns + m + j],
                       j);
  std::sort(pairs.begin(), pairs.end());
  for (int64_t k = 0; k < m; ++k) {
    order[size_t(2 * k)] = pairs[size_t(k)].second;
    order[size_t(2 * k + 1)] = m + pairs[size_t(k)].second;
  }
  double trace = 0;
  for (int64_t j = 0; j < columns; ++j)
    trace += moments[j * columns + j];
  zero = trace <= 0;
  const float added = zero ? 1 : float(damping * trace / double(columns));
  matrix.resize(size_t(columns * columns));
  for (int64_t a = 0; a < columns; ++a)
    for (int64_t b = 0; b < columns; ++b)
      matrix[a * columns + b] =
          moments[columnAt(a) * columns + columnAt(b)] + (a == b ? added : 0);
  lower = matrix;
  factorize(kernels, lower, columns, parallelFor);
  for (int64_t j = 0; j < columns; ++j)
    if (!(lower[j * columns + j] > 0))
      throw Error(name + ": expected moments of inputs that are positive "
                         "definite when damped, found others");
}

OutputMetric::OutputMetric(int64_t realRows) : realRows(realRows) {
  const int64_t n = realRows / 2;
  const int64_t most = n <= kWholePairs ? kWholePairs : kMostPairs;
  blockCount = (n + most - 1) / most;
  blockPairs = blockCount ? (n + blockCount - 1) / blockCount : 0;
  values.resize(size_t(4 * blockCount * blockPairs * blockPairs));
}

int64_t OutputMetric::pairsOf(int64_t block) const {
  return std::clamp<int64_t>(realRows / 2 - block * blockPairs, 0, blockPairs);
}

void OutputMetric::damp(float damping) {
  const int64_t size = 2 * blockPairs;
  double trace = 0;
  for (int64_t b = 0; b < blockCount; ++b)
    for (int64_t r = 0; r < size; ++r)
      trace += block(b)[r * size + r];
  const float added = trace > 0 ? float(damping * trace / double(realRows)) : 1;
  for (int64_t b = 0; b < blockCount; ++b)
    for (int64_t r = 0; r < size; ++r)
      if (r % blockPairs < pairsOf(b))
        block(b)[r * size + r] += added;
}

} // namespace fairy2
