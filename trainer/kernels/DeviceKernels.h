// SPDX-License-Identifier: Apache-2.0
//
// What an accelerator computes for the training step that ATen does not, or
// does in many small steps. Each call works on whole matrices, row-major and
// contiguous in the device's memory; it starts the work in the order of
// the device's current stream and does not wait. Results have a fixed order of
// sums. trainer/cuda has the loops.
#pragma once

#include "dialect/phase/PhaseFormulas.h"
#include "trainer/kernels/BFloat16.h"

#include <cstdint>
#include <tuple>

namespace fairy2::trainer {

/// y = rmsNorm(s) with s = x + delta, or x where there is no delta. With
/// `quantizes`, y is what is left after int8 activations.
template <typename X, typename Y> struct NormCall {
  const X *x;     ///< [rows, n]
  const Y *delta; ///< [rows, n], or null
  const float *weight;
  int64_t rows, n;
  float epsilon;
  bool quantizes;
  X *sum; ///< s, when there is a delta
  Y *y;
  float *inverses; ///< [rows]: 1 / sqrt(mean(s^2) + epsilon)
};
/// The gradient of the same, through y and, where given, through s.
template <typename X, typename Y> struct NormBackwardCall {
  const X *x; ///< s of the forward call
  const float *weight, *inverses;
  const Y *dy;
  const X *dSum; ///< or null
  int64_t rows, n;
  X *dx;                ///< of s, and so of x
  Y *dDelta;            ///< the same, of delta; or null
  float *dWeightPieces; ///< [kNormPieces, n], to be added up
};
/// Weight gradients of norms are summed in so many pieces of rows.
constexpr int64_t kNormPieces = 256;

/// y = silu(gate) * up, and with `quantizes` what int8 activations leave of it.
template <typename T> struct GatedCall {
  const T *gate, *up;
  int64_t rows, n;
  bool quantizes;
  T *y;
};
template <typename T> struct GatedBackwardCall {
  const T *gate, *up, *dy;
  int64_t rows, n;
  T *dGate, *dUp;
};

/// Int8 activations of each row.
template <typename T> struct FakeQuantizeCall {
  const T *x;
  int64_t rows, n;
  T *y;
};

/// Rotates the pairs (x[j], x[dim / 2 + j]) of every head; sign -1 rotates
/// back.
template <typename T> struct RotateCall {
  const T *x;          ///< [tokens, heads, dim]
  const float *angles; ///< [tokens, dim]: cosines, then sines
  int64_t tokens, heads, dim;
  float sign;
  T *y;
};

/// dLoss/dLogits and each row's loss; a row whose target is `ignored` has none.
template <typename T> struct CrossEntropyCall {
  const float *logits; ///< [rows, vocab]
  const int64_t *targets;
  int64_t rows, vocab, ignored;
  T *gradient; ///< may be the logits
  double *losses;
};
/// The same with a teacher: (1 - weight) * cross-entropy + weight * T^2 *
/// KL(teacher || student), both softened by the temperature T.
template <typename T> struct DistillCall {
  const float *logits;
  const float *teacher; ///< its logits
  const int64_t *targets;
  int64_t rows, vocab, ignored;
  float weight, temperature;
  T *gradient;
  double *losses;
  double *plain; ///< the cross-entropy
};

struct SumOfSquaresCall {
  static constexpr int64_t kParts = 256;

  const float *x;
  int64_t n;
  double *parts; ///< [kParts], to be added up
};

/// quantizePhases() of dialect/phase/Phase.h in canonical mode and the dense
/// matrix of its result: equal codes and scales, because rows are summed in its
/// order.
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

/// Matrices with one scheme: each stage of all of them is one launch.
struct PhaseBatchCall {
  const PhaseCall *calls;    ///< in the host's memory
  const PhaseCall *onDevice; ///< the same in the device's
  int64_t count;
};

/// Starts the work of a call.
template <typename Call> using DeviceKernel = void (*)(const Call &);

/// One kernel for each of the calls.
template <typename... Calls> class DeviceKernelTable {
public:
  constexpr DeviceKernelTable(DeviceKernel<Calls>... kernels)
      : kernels(kernels...) {}

  template <typename Call> void start(const Call &call) const {
    std::get<DeviceKernel<Call>>(kernels)(call);
  }

private:
  std::tuple<DeviceKernel<Calls>...> kernels;
};

/// Activations are float, or BFloat16 between the residual stream's floats.
using DeviceKernels = DeviceKernelTable<
    NormCall<float, float>, NormCall<float, BFloat16>,
    NormCall<BFloat16, BFloat16>, NormBackwardCall<float, float>,
    NormBackwardCall<float, BFloat16>, NormBackwardCall<BFloat16, BFloat16>,
    GatedCall<float>, GatedCall<BFloat16>, GatedBackwardCall<float>,
    GatedBackwardCall<BFloat16>, FakeQuantizeCall<float>,
    FakeQuantizeCall<BFloat16>, RotateCall<float>, RotateCall<BFloat16>,
    CrossEntropyCall<float>, CrossEntropyCall<BFloat16>, DistillCall<float>,
    DistillCall<BFloat16>, SumOfSquaresCall, PhaseBatchCall>;

/// The table whose kernels are all start(call), of any type of call.
template <typename Starter, typename... Calls>
constexpr DeviceKernelTable<Calls...>
tableOf(const DeviceKernelTable<Calls...> *) {
  return {&Starter::template start<Calls>...};
}
template <typename Starter> constexpr DeviceKernels deviceKernelsOf() {
  return tableOf<Starter>(static_cast<const DeviceKernels *>(nullptr));
}

} // namespace fairy2::trainer
