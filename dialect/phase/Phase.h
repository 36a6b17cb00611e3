// SPDX-License-Identifier: Apache-2.0
//
// The phase group {1, i, -1, -i}, the residual phase quantizer and the packed
// byte layout, in plain C++: the one definition that compiler, runtime tests
// and trainer share. Nothing here knows MLIR, files or threads' owners.
//
// A real matrix A (2n x 2m, y = A x) acts on halves: x = x[:m] + i x[m:] and
// y = y[:n] + i y[n:], and is the widely-linear map y = U x + W conj(x).
#pragma once

#include "dialect/phase/PhaseFormulas.h"
#include "dialect/phase/Quantization.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

/// The largest number of residual stages a scheme may ask for.
constexpr int64_t kMaxStages = 8;

/// Canonical: float32, and values as they are stored. OfficialBF16: values, U
/// and W, scales, residuals and sums are rounded to bfloat16 where the
/// reference implementation (Fairy2i-W2) run on bfloat16 weights rounds; scales
/// are per tensor. It finds that implementation's codes and scales but for
/// exact ties, which depend on its vector library there.
enum class QuantizeMode { Canonical, OfficialBF16 };
/// "canonical" or "official_bf16", and back.
const char *nameOf(QuantizeMode mode);
std::optional<QuantizeMode> quantizeModeFromName(std::string_view name);

/// How the scales of a matrix's (or tile's) stages relate. Mean: each is the
/// mean of what its stage quantizes, the method's own definition. Binary: s
/// 2^(T-1-t) for stage t, with one s for U and W, re and im (BinaryStages.h).
enum class StageScales { Mean, Binary };
inline constexpr std::array kStageScales = {StageScales::Mean,
                                            StageScales::Binary};
/// "mean" or "binary", and back.
const char *nameOf(StageScales stageScales);
std::optional<StageScales> stageScalesFromName(std::string_view name);

/// What scales are. Float: any number. Int8: integers times one unit per matrix
/// (or tile), such that the real matrix over its factors and that unit has
/// entries of at most kLargestGridEntry in magnitude (ScaleGrid.h).
enum class ScaleGrid { Float, Int8 };
inline constexpr std::array kScaleGrids = {ScaleGrid::Float, ScaleGrid::Int8};
/// "float" or "int8", and back.
const char *nameOf(ScaleGrid grid);
std::optional<ScaleGrid> scaleGridFromName(std::string_view name);
constexpr int kLargestGridEntry = 127;
/// Real columns of a matrix whose sums of products with int8 values fit 32
/// bits: an entry of y has two for every complex column, of which one is 0.
constexpr int64_t kMaxGridColumns =
    INT32_MAX / (kLargestGridEntry * kLargestGridEntry) * 2;
/// Binary stages of which a matrix fits the int8 grid: 2 (2^6 - 1) = 126.
constexpr int64_t kMaxBinaryGridStages = 6;
/// The grid where nobody asks for one: binary stages are integers by themselves
/// where they fit; rounding means costs something.
ScaleGrid gridThatSuits(StageScales stageScales, int64_t stages);

/// `value` to the nearest bfloat16, ties to even; a finite value.
inline float roundToBFloat16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  bits += 0x7fff + (bits >> 16 & 1);
  return std::bit_cast<float>(bits & 0xffff0000);
}

/// How a matrix is quantized to phases.
struct PhaseScheme {
  int stages = 2; ///< T: bits per real parameter
  ScaleGranularity scales = ScaleGranularity::Tensor;
  QuantizeMode mode = QuantizeMode::Canonical;
  StageScales stageScales = StageScales::Mean;
  ScaleGrid grid = ScaleGrid::Float;

  bool operator==(const PhaseScheme &) const = default;
};

/// What is wrong with a scheme ("expected .., found .."), or "".
std::string schemeFault(const PhaseScheme &scheme);

/// Scales on the int8 grid, over the unit: 1 to kLargestGridEntry.
struct AxisIntegers {
  uint8_t re, im;

  bool operator==(const AxisIntegers &) const = default;
};

/// The quantized form of one real matrix of shape [2 rows, 2 columns]. Code
/// sets run U1, W1, U2, W2, ..: set 2t is U and set 2t + 1 is W of stage t.
struct PhaseMatrix {
  int64_t rows = 0;    ///< n, complex rows
  int64_t columns = 0; ///< m, complex columns
  PhaseScheme scheme;
  std::vector<Phase> codes;       ///< [set][n][m]
  std::vector<AxisScales> scales; ///< [row of tiles][column of tiles][set]
  std::vector<float> rowFactors;  ///< [2n] with row scales, else empty
  /// On the int8 grid, else empty; scales are units times integers, as float32.
  std::vector<float> units;           ///< [row of tiles][column of tiles]
  std::vector<AxisIntegers> integers; ///< [tile][set], as scales

  int sets() const { return 2 * scheme.stages; }
  const Phase *set(int s) const { return codes.data() + s * rows * columns; }

  /// Extents of what shares a pair of scales, and how many there are.
  bool isTiled() const { return scheme.scales == ScaleGranularity::Tile; }
  int64_t tileRows() const { return isTiled() ? kScaleTile : rows; }
  int64_t tileColumns() const { return isTiled() ? kScaleTile : columns; }
  int64_t tilesDown() const { return (rows + tileRows() - 1) / tileRows(); }
  int64_t tilesAcross() const {
    return (columns + tileColumns() - 1) / tileColumns();
  }
  /// The scales of all sets at complex entry (i, j).
  const AxisScales *scalesAt(int64_t i, int64_t j) const {
    return scales.data() +
           (i / tileRows() * tilesAcross() + j / tileColumns()) * sets();
  }
};

/// Quantizes the matrix of shape [2n, 2m] that `readRows` reads, each row once,
/// in residual stages, in the arithmetic of the scheme's mode. Binary
/// stages are BinaryStages.h's; with stage scales that are means, per matrix
/// (or tile) and stage s_re = mean |re| over the codes +-1 and s_im = mean |im|
/// over the codes +-i, at least 1e-6; sums are in double, row by row. With row
/// scales, row r of A' is row r of A over its factor: `rowFactors`, one per
/// real row and finite, or where that is empty the row's root mean square. A
/// row of factor 0 counts as zero. On the int8 grid those scales are rounded
/// (ScaleGrid.h) when all are found, and codes stay. Throws Error
/// naming `name` when an extent is odd or a value is not finite. Fairy2i (arXiv
/// 2512.02901); the group and ties as in dialect/README.md. `error` is told how
/// near the result is, if it is not null.
PhaseMatrix quantizePhases(const RowReader &readRows, int64_t realRows,
                           int64_t realColumns, PhaseScheme scheme,
                           const std::string &name,
                           const ParallelFor &parallelFor = serialFor,
                           std::span<const float> rowFactors = {},
                           QuantizationError *error = nullptr);
/// The same for a matrix in memory.
PhaseMatrix quantizePhases(const float *a, int64_t realRows,
                           int64_t realColumns, PhaseScheme scheme,
                           const std::string &name,
                           const ParallelFor &parallelFor = serialFor,
                           std::span<const float> rowFactors = {},
                           QuantizationError *error = nullptr);

/// The dense float32 matrix [2n, 2m] that the codes and scales stand for,
/// summed in the arithmetic of the scheme's mode.
std::vector<float> dequantizePhases(const PhaseMatrix &matrix);

/// Sign-plane packing: a code i^k = a + i b is stored as the two sign bits
/// p = a + b > 0 and q = a - b > 0, so one bit per real parameter and stage.
/// Order of bytes: [tile of 16 rows][block of 16 columns][set][group of 4
/// columns][row], so that a tile is one stream whatever the number of sets. A
/// byte holds the p bits of its four columns in the low nibble and the q bits
/// in the high nibble, column 4 g + b at bit b. Rows and columns are padded to
/// multiples of 16; padding codes are +1.
struct SignPlaneLayout {
  static constexpr int64_t kTileRows = 16;
  static constexpr int64_t kBlockColumns = 16;
  static constexpr int64_t kGroupColumns = 4;
  static constexpr int64_t kChunkBytes = 64; ///< one set of one block

  int64_t rows = 0;    ///< n
  int64_t columns = 0; ///< m
  int sets = 0;

  int64_t tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  int64_t blocks() const {
    return (columns + kBlockColumns - 1) / kBlockColumns;
  }
  int64_t blockBytes() const { return sets * kChunkBytes; }
  int64_t tileBytes() const { return blocks() * blockBytes(); }
  int64_t bytes() const { return tiles() * tileBytes(); }
  /// Where the byte of (set, row) lies that holds a column's bits.
  int64_t byteOf(int set, int64_t row, int64_t column) const {
    return row / kTileRows * tileBytes() +
           column / kBlockColumns * blockBytes() + set * kChunkBytes +
           column % kBlockColumns / kGroupColumns * kTileRows + row % kTileRows;
  }
};

/// Writes layout.bytes() bytes to `out`; the layout is that of `matrix`.
void packSignPlanes(const PhaseMatrix &matrix, uint8_t *out);

/// The code of (set, row, column), read back from packed bytes.
Phase unpackSignPlanes(const SignPlaneLayout &layout, const uint8_t *packed,
                       int set, int64_t row, int64_t column);

} // namespace fairy2
