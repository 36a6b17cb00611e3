// SPDX-License-Identifier: Apache-2.0
//
// Quantizers of real numbers, which complex phases are compared with at equal
// bits: bitnet, ternary, sign2 and int2. Each makes of a matrix a sum of at
// most two planes of signs times scales. Plain C++: the one definition that
// compiler and trainer share.
#pragma once

#include "dialect/phase/Phase.h"

#include <array>
#include <vector>

namespace fairy2 {

/// BitNet ("bitnet", 1 bit): sign(a - mean) times mean |a|; the mean is not
/// added back (Wang et al., arXiv 2310.11453, as Fairy2i's baseline has it).
/// Ternary ("ternary"): round(a / s) clamped to -1, 0, 1, times s, where s is
/// max(mean |a|, 1e-5): transformers' BitNet b1.58 (arXiv 2402.17764).
/// TwoSigns ("sign2", 2 bits): signs times mean |a|, then the same of what is
/// left: the residual idea of phases without the complex numbers.
/// FourLevels ("int2", 2 bits): -1.5, -0.5, 0.5 or 1.5 steps; the step is the
/// best for a normal distribution of the values' root mean square.
enum class SignMethod { BitNet, Ternary, TwoSigns, FourLevels };
constexpr std::array<SignMethod, 4> kSignMethods = {
    SignMethod::BitNet, SignMethod::Ternary, SignMethod::TwoSigns,
    SignMethod::FourLevels};
/// "bitnet", "ternary", "sign2" or "int2", and back.
const char *nameOf(SignMethod method);
std::optional<SignMethod> signMethodFromName(std::string_view name);

/// How a matrix is quantized to signs.
struct SignScheme {
  SignMethod method = SignMethod::Ternary;
  ScaleGranularity scales = ScaleGranularity::Tensor; ///< or Row

  /// Planes that are added: bits that a parameter takes.
  int planes() const { return method == SignMethod::BitNet ? 1 : 2; }
  bool operator==(const SignScheme &) const = default;
};

/// The quantized form of a real matrix: element (i, j) is the sum over planes p
/// of scale p times the sign p, in the order of the planes, in float32. Ternary
/// has twice the scale s / 2, int2 has a step and half a step.
struct SignMatrix {
  int64_t rows = 0, columns = 0;
  SignScheme scheme;
  std::vector<uint8_t>
      signs;                 ///< [row][column]; bit p is set where sign p is +1
  std::vector<float> scales; ///< [row, or 1][plane]

  const float *scalesOf(int64_t row) const {
    return scales.data() +
           (scheme.scales == ScaleGranularity::Row ? row : 0) * scheme.planes();
  }
  float at(int64_t row, int64_t column) const {
    const float *scale = scalesOf(row);
    const uint8_t sign = signs[size_t(row * columns + column)];
    float sum = 0;
    for (int p = 0; p < scheme.planes(); ++p)
      sum += sign >> p & 1 ? scale[p] : -scale[p];
    return sum;
  }
};

/// Quantizes the matrix [rows, columns] that `readRows` reads, each row once.
/// Means are summed in double, row by row; with row scales each row is a matrix
/// by itself. A value of 0 counts as positive, in bitnet as negative. Throws
/// Error naming `name` when a value is not finite or scales are per tile.
/// `error` is told how near the result is, if it is not null.
SignMatrix quantizeSigns(const RowReader &readRows, int64_t rows,
                         int64_t columns, SignScheme scheme,
                         const std::string &name,
                         const ParallelFor &parallelFor = serialFor,
                         QuantizationError *error = nullptr);

/// Writes the planes in the layout {rows, columns / 2, planes} to `out`: the
/// low nibble of a byte holds the signs of four columns of the left half, the
/// high nibble those of the same columns of the right half. The number of
/// columns is even.
void packSigns(const SignMatrix &matrix, uint8_t *out);

/// The bit of (plane, row, column), read back from packed bytes.
bool unpackSign(const SignPlaneLayout &layout, const uint8_t *packed, int plane,
                int64_t row, int64_t column);

} // namespace fairy2
