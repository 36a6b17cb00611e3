// SPDX-License-Identifier: Apache-2.0
//
// The coder's loops, compiled once per instruction set. They give equal bits on
// each: sums have the lanes and the order of the source, and nothing is fused.
// A part of PhaseCoder.cpp.
#pragma once

#include <cstdint>

namespace fairy2 {

/// Blocks of G whose entries are chosen side by side, and columns at a time.
constexpr int64_t kLanes = 16, kPanel = 8;
/// What one call of multiplyTile() makes.
constexpr int64_t kTileRows = 8, kTileColumns = 32;

/// Columns of kLanes blocks of G, whose rows are first the upper halves of
/// `pairs` complex rows, then the lower ones. Columns stand in the order of
/// coding. Arrays are [row][kPanel][kLanes] but for those that say otherwise.
struct CoderPanel {
  int64_t pairs, width;
  int stages;
  const float *outputs; ///< G, [row][row][kLanes]
  const float *steps;   ///< of a row where A' over twice its unit changes by 1
  const float *target;  ///< A*
  float *coded;         ///< A' over twice its unit
  float *error;         ///< of the coded rows, when they are begun
  /// Error times what `square` is a part of, with all columns (descent) or with
  /// those that are coded already (start).
  float *products;
  /// The panel's own part of H (descent) or of its Cholesky factor (start).
  const float *square;
  int64_t stride; ///< of a row of `square`
};

/// Two rows of A*, upper and lower, as [column][kLanes], for which multiples of
/// their root mean squares are searched.
struct FactorSearch {
  const float *rows[2];
  int64_t columns, stride; ///< `stride` of a row of `moments`
  const float *moments;    ///< H
  int stages;
  float unit;
  const float *rms[2]; ///< [kLanes]
  const float *tried;
  int64_t triedCount;
  float *multiples[2]; ///< [kLanes], the result
};

struct CoderKernels {
  const char *name;
  /// c[r][j] (+/-)= sum over k < count of a[r][k] b[k][j], a term at a time, in
  /// order of k; `b` is [count][kTileColumns].
  void (*multiplyTile)(const float *a, int64_t aStride, const float *b,
                       int64_t count, bool subtract, float *c, int64_t cStride);
  /// row[j] += sum of values[k] matrix[places[k]][j] for j < columns, in order.
  void (*addSelected)(const float *values, const int32_t *places, int64_t count,
                      const float *matrix, int64_t stride, float *row,
                      int64_t columns);
  /// Codes the panel's columns from the last to the first by feedback.
  void (*startPanel)(const CoderPanel &panel);
  /// Lets each entry of the panel, from the last column on, take the best code
  /// for all others.
  void (*sweepPanel)(const CoderPanel &panel);
  void (*searchFactors)(const FactorSearch &search);
};

/// Those that this machine runs, the best last, and the best.
const CoderKernels *const *runnableCoderKernels(int &count);
const CoderKernels &coderKernels();

} // namespace fairy2
