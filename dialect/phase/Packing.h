// SPDX-License-Identifier: Apache-2.0
//
// Where everything lies inside one pack of the weight section. Kernels, the
// writer of the section and the tests read these numbers from here. Plain C++.
// All offsets are bytes from the start of the pack and multiples of 64.
#pragma once

#include "dialect/phase/Phase.h"
#include "dialect/phase/Signs.h"

#include <cstdint>
#include <vector>

namespace fairy2 {

constexpr int64_t kPackAlignment = 64;
constexpr int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Sign planes of several matrices with m columns each, stacked by rows; each
/// starts a new tile of 16 rows. Phases: a row of codes stands for two real
/// rows (parts), its sets are U and W of every stage. Signs (Signs.h): a row
/// stands for one, its sets are the planes, and m is half of the columns.
/// Biases: float32 [tile][part][16 rows]; factors of the rows likewise. Scales:
/// float32 [tile][set][re, im], or where 64 x 64 entries share them, float32
/// [64 rows of a matrix][span of 64 columns][set][re, im]; of signs
/// [tile][set], with row scales [tile][set][16 rows]. On the int8 grid the
/// scales are integers in int32, or absent where stages are binary. Their unit
/// is multiplied into the factors of rows; where there are none, units are
/// float32 [tile], or [64 rows][span]. Planes: SignPlaneLayout.
struct SignPlanePack {
  std::vector<int64_t> rows; ///< of codes or signs, of every matrix
  int64_t columns = 0;       ///< m
  int setCount = 0;
  ScaleGranularity scales = ScaleGranularity::Tensor;
  bool isReal = false; ///< signs, not phases
  bool hasBias = false;
  StageScales stageScales = StageScales::Mean;
  ScaleGrid grid = ScaleGrid::Float;

  static SignPlanePack ofPhases(std::vector<int64_t> rows, int64_t columns,
                                PhaseScheme scheme, bool hasBias) {
    return {std::move(rows), columns, 2 * scheme.stages,  scheme.scales,
            false,           hasBias, scheme.stageScales, scheme.grid};
  }
  static SignPlanePack ofSigns(std::vector<int64_t> rows, int64_t columns,
                               SignScheme scheme, bool hasBias) {
    return {std::move(rows),
            columns,
            scheme.planes(),
            scheme.scales,
            true,
            hasBias,
            StageScales::Mean,
            ScaleGrid::Float};
  }

  int sets() const { return setCount; }
  /// Real rows that a row of codes stands for.
  int64_t parts() const { return isReal ? 1 : 2; }
  bool hasFactors() const { return !isReal && scales == ScaleGranularity::Row; }
  bool isTiled() const { return scales == ScaleGranularity::Tile; }
  bool isOnGrid() const { return grid == ScaleGrid::Int8; }
  /// On the grid stage t of T has 2^(T-1-t) units, U and W, re and im.
  bool isBinaryOnGrid() const {
    return isOnGrid() && stageScales == StageScales::Binary;
  }
  bool hasScales() const { return !isBinaryOnGrid(); }
  bool hasUnits() const { return isOnGrid() && !hasFactors(); }
  SignPlaneLayout matrix(size_t i) const { return {rows[i], columns, sets()}; }
  int64_t tiles() const {
    int64_t sum = 0;
    for (size_t i = 0; i < rows.size(); ++i)
      sum += matrix(i).tiles();
    return sum;
  }
  /// Rows of tiles that have scales of their own, of matrix i and in all, and
  /// parts of a row that have.
  int64_t scaleRows(size_t i) const {
    return isTiled() ? (rows[i] + kScaleTile - 1) / kScaleTile
                     : matrix(i).tiles();
  }
  int64_t scaleRows() const {
    int64_t sum = 0;
    for (size_t i = 0; i < rows.size(); ++i)
      sum += scaleRows(i);
    return sum;
  }
  int64_t spans() const {
    return isTiled() ? (columns + kScaleTile - 1) / kScaleTile : 1;
  }
  /// Floats of one set, of one row of tiles, and of all.
  int64_t scalesPerSet() const {
    if (!isReal)
      return 2;
    return scales == ScaleGranularity::Row ? SignPlaneLayout::kTileRows : 1;
  }
  int64_t scalesPerRow() const {
    return hasScales() ? spans() * sets() * scalesPerSet() : 0;
  }
  int64_t scaleCount() const { return scaleRows() * scalesPerRow(); }
  int64_t unitsPerRow() const { return hasUnits() ? spans() : 0; }
  int64_t unitCount() const { return scaleRows() * unitsPerRow(); }

  int64_t biasOffset() const { return 0; }
  int64_t factorOffset() const { return hasBias ? rowValueBytes() : 0; }
  int64_t scaleOffset() const {
    return factorOffset() + (hasFactors() ? rowValueBytes() : 0);
  }
  int64_t unitOffset() const {
    return scaleOffset() + roundUp(scaleCount() * 4, kPackAlignment);
  }
  int64_t planeOffset() const {
    return unitOffset() + roundUp(unitCount() * 4, kPackAlignment);
  }
  int64_t bytes() const {
    return planeOffset() +
           tiles() * SignPlaneLayout{0, columns, sets()}.tileBytes();
  }

  /// Floats that hold one value for every real row of a tile, and of all.
  int64_t tileRowValues() const { return parts() * SignPlaneLayout::kTileRows; }
  int64_t rowValues() const { return tiles() * tileRowValues(); }

private:
  int64_t rowValueBytes() const { return rowValues() * 4; }
};

/// Rows of a dense matrix in their stored type, each padded to 64 bytes, then
/// float32 biases [rows] if any.
struct DensePack {
  int64_t rows = 0, columns = 0;
  int64_t elementBytes = 4;
  bool hasBias = false;

  int64_t rowBytes() const {
    return roundUp(columns * elementBytes, kPackAlignment);
  }
  int64_t biasOffset() const { return rows * rowBytes(); }
  int64_t bytes() const {
    return biasOffset() + (hasBias ? roundUp(rows * 4, kPackAlignment) : 0);
  }
};

/// int8 weights, one scale per row, of a head and of an embedding: one that is
/// tied to an int8 head needs no bytes of its own. Scales: float32 [tile][16];
/// sums: int32 [tile][16], the sum of each row's weights; values: [tile][group
/// of 4 columns][16 rows][4 columns].
struct Int8Pack {
  static constexpr int64_t kTileRows = 16;
  static constexpr int64_t kGroupColumns = 4;

  int64_t rows = 0, columns = 0;

  int64_t tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  int64_t groups() const {
    return (columns + kGroupColumns - 1) / kGroupColumns;
  }
  int64_t tileBytes() const { return groups() * kTileRows * kGroupColumns; }
  int64_t scaleOffset() const { return 0; }
  int64_t sumOffset() const { return tiles() * kTileRows * 4; }
  int64_t valueOffset() const { return 2 * sumOffset(); }
  int64_t bytes() const { return valueOffset() + tiles() * tileBytes(); }
};

/// int4 rows of an embedding, one scale per row. Scales: float32 [rows];
/// values: [row][group of 32 columns][16 bytes], two's complement; of byte j of
/// a group the low nibble is column j, the high one column 16 + j.
struct Int4Pack {
  static constexpr int64_t kGroupColumns = 32;
  static constexpr int64_t kGroupBytes = kGroupColumns / 2;

  int64_t rows = 0, columns = 0;

  int64_t groups() const {
    return (columns + kGroupColumns - 1) / kGroupColumns;
  }
  int64_t rowBytes() const { return groups() * kGroupBytes; }
  int64_t scaleOffset() const { return 0; }
  int64_t valueOffset() const { return roundUp(rows * 4, kPackAlignment); }
  int64_t bytes() const {
    return valueOffset() + roundUp(rows * rowBytes(), kPackAlignment);
  }
};

} // namespace fairy2
