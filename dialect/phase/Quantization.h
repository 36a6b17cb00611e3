// SPDX-License-Identifier: Apache-2.0
//
// What the quantizers of matrices share (Phase.h, Signs.h): how a matrix is
// read, who shares a scale, how near the result is. Plain C++.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace fairy2 {

/// What shares scales. Of phases, a pair of axis scales (per matrix U, W and
/// stage): the whole matrix; the whole matrix, times a factor per real output
/// row, A = diag(f) A' with A' quantized per matrix; or kScaleTile x kScaleTile
/// complex entries. Of signs: the whole matrix, or each row by itself.
enum class ScaleGranularity { Tensor, Row, Tile };
constexpr int64_t kScaleTile = 64;
/// "tensor", "row" or "tile", and back.
const char *nameOf(ScaleGranularity scales);
std::optional<ScaleGranularity> granularityFromName(std::string_view name);

/// Runs body(begin, end) over a partition of [0, count), possibly in parallel.
/// Results never depend on the partition.
using ParallelFor = std::function<void(
    int64_t count, const std::function<void(int64_t begin, int64_t end)> &)>;

/// A ParallelFor that runs everything at once on the calling thread.
void serialFor(int64_t count,
               const std::function<void(int64_t, int64_t)> &body);

/// Writes rows [begin, end) of a real matrix to `out`, row-major, as float32.
/// Called from many threads at once.
using RowReader = std::function<void(int64_t begin, int64_t end, float *out)>;
/// Reads a row-major matrix in memory, which must outlive the reader.
RowReader rowsOf(const float *a, int64_t columns);

/// Squared Frobenius norms of A and of A - Aq.
struct QuantizationError {
  double norm = 0, error = 0;

  /// ||A - Aq|| / ||A||.
  double relative() const;
};

/// Throws Error naming the matrix and the place when a value of row `row` is
/// not finite.
void requireFinite(const std::string &name, int64_t row, int64_t columns,
                   const float *values);

double squaredNorm(const float *values, int64_t count);

} // namespace fairy2
