// SPDX-License-Identifier: Apache-2.0
//
// What an accelerator computes for the training step that ATen does not, or
// does in many small steps. Each call works on whole matrices, row-major and
// contiguous float32 in the device's memory; it starts the work in the order of
// the device's current stream and does not wait. Results have a fixed order of
// sums. trainer/cuda has the loops.
#pragma once

#include "dialect/PhaseFormulas.h"

#include <cstdint>

namespace fairy2 {

/// y = rmsNorm(s) with s = x + delta, or x where there is no delta.
struct NormCall {
  const float *x;     ///< [rows, n]
  const float *delta; ///< [rows, n], or null
  const float *weight;
  int64_t rows, n;
  float epsilon;
  float *sum; ///< s, when there is a delta
  float *y;
  float *inverses; ///< [rows]: 1 / sqrt(mean(s^2) + epsilon)
};
/// The gradient of the same, through y and, where given, through s.
struct NormBackwardCall {
  /// Weight gradients are summed in so many pieces of rows.
  static constexpr int64_t kPieces = 256;

  const float *x; ///< s of the forward call
  const float *weight, *inverses, *dy;
  const float *dSum; ///< or null
  int64_t rows, n;
  float *dx;            ///< of s, and so of x and delta
  float *dWeightPieces; ///< [kPieces, n], to be added up
};

/// y = silu(gate) * up.
struct GatedCall {
  const float *gate, *up;
  int64_t n;
  float *y;
};
struct GatedBackwardCall {
  const float *gate, *up, *dy;
  int64_t n;
  float *dGate, *dUp;
};

/// Int8 activations of each row.
struct FakeQuantizeCall {
  const float *x;
  int64_t rows, n;
  float *y;
};

/// Rotates the pairs (x[j], x[dim / 2 + j]) of every head; sign -1 rotates
/// back.
struct RotateCall {
  const float *x;      ///< [tokens, heads, dim]
  const float *angles; ///< [tokens, dim]: cosines, then sines
  int64_t tokens, heads, dim;
  float sign;
  float *y;
};

/// Replaces logits by dLoss/dLogits and writes each row's loss; a row whose
/// target is `ignored` has none.
struct CrossEntropyCall {
  float *logits; ///< [rows, vocab]
  const int64_t *targets;
  int64_t rows, vocab, ignored;
  double *losses;
};
/// The same with a teacher: (1 - weight) * cross-entropy + weight * T^2 *
/// KL(teacher || student), both softened by the temperature T.
struct DistillCall {
  float *logits;
  const float *teacher; ///< its logits
  const int64_t *targets;
  int64_t rows, vocab, ignored;
  float weight, temperature;
  double *losses;
  double *plain; ///< the cross-entropy
};

struct SumOfSquaresCall {
  static constexpr int64_t kParts = 256;

  const float *x;
  int64_t n;
  double *parts; ///< [kParts], to be added up
};

/// quantizePhases() of dialect/Phase.h in canonical mode and the dense matrix
/// of its result: equal codes and scales, because rows are summed in its order.
struct PhaseCall {
  static constexpr int64_t kNoBadValue = INT64_MAX;

  const float *a; ///< [2 rows, 2 columns]
  int64_t rows, columns;
  int stages;
  int64_t tileRows, tileColumns; ///< rows and columns: one pair of scales
  bool dividesRows;              ///< row scales
  // Room for what is computed:
  float *factors;         ///< [2 rows], with row scales
  WidelyLinear *residual; ///< [rows, columns]
  WidelyLinearSums *sums; ///< [rows, tilesAcross()]
  uint32_t *codes;        ///< [rows, columns], see phaseOf()
  AxisScales *scales;     ///< [tilesDown(), tilesAcross(), 2 stages]
  float *out;             ///< [2 rows, 2 columns]
  /// Set to the first place in `a` that is not finite; kNoBadValue before.
  int64_t *firstBadValue;

  FAIRY2_HOST_DEVICE int64_t tilesDown() const {
    return (rows + tileRows - 1) / tileRows;
  }
  FAIRY2_HOST_DEVICE int64_t tilesAcross() const {
    return (columns + tileColumns - 1) / tileColumns;
  }
  /// The scales of all sets at entry (i, j).
  FAIRY2_HOST_DEVICE AxisScales *scalesAt(int64_t i, int64_t j) const {
    return scales +
           (i / tileRows * tilesAcross() + j / tileColumns) * 2 * stages;
  }
  /// An entry's code of U (set 2 t) or W (set 2 t + 1) at stage t: two bits.
  FAIRY2_HOST_DEVICE static Phase phaseOf(uint32_t entry, int set) {
    return Phase(entry >> (2 * set) & 3);
  }
};

struct DeviceKernels {
  void (*norm)(const NormCall &);
  void (*normBackward)(const NormBackwardCall &);
  void (*gated)(const GatedCall &);
  void (*gatedBackward)(const GatedBackwardCall &);
  void (*fakeQuantize)(const FakeQuantizeCall &);
  void (*rotate)(const RotateCall &);
  void (*crossEntropy)(const CrossEntropyCall &);
  void (*distill)(const DistillCall &);
  void (*sumOfSquares)(const SumOfSquaresCall &);
  void (*quantizePhases)(const PhaseCall &);
};

} // namespace fairy2
