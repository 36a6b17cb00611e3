// SPDX-License-Identifier: Apache-2.0
//
// Where everything lies inside one pack of the weight section. Kernels, the
// writer of the section and the tests read these numbers from here. Plain C++.
// All offsets are bytes from the start of the pack and multiples of 64.
#pragma once

#include "dialect/Phase.h"

#include <cstdint>
#include <vector>

namespace fairy2 {

constexpr int64_t kPackAlignment = 64;
constexpr int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Phases of several matrices with m columns each, stacked by rows; each starts
/// a new tile. Biases: float32 [tile][re, im][16 rows]; factors of the rows
/// likewise; scales: float32 [tile][set][re, im], or where 64 x 64 entries
/// share them, float32 [64 rows of a matrix][span of 64 columns][set][re, im];
/// planes: SignPlaneLayout.
struct SignPlanePack {
  std::vector<int64_t> rows; ///< n of every matrix
  int64_t columns = 0;       ///< m
  PhaseScheme scheme;
  bool hasBias = false;

  int sets() const { return 2 * scheme.stages; }
  bool hasFactors() const { return scheme.scales == ScaleGranularity::Row; }
  bool isTiled() const { return scheme.scales == ScaleGranularity::Tile; }
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
  /// Scales of all sets on both axes, in floats.
  int64_t scaleCount() const { return scaleRows() * spans() * sets() * 2; }

  int64_t biasOffset() const { return 0; }
  int64_t factorOffset() const { return hasBias ? rowValueBytes() : 0; }
  int64_t scaleOffset() const {
    return factorOffset() + (hasFactors() ? rowValueBytes() : 0);
  }
  int64_t planeOffset() const {
    return scaleOffset() + roundUp(scaleCount() * 4, kPackAlignment);
  }
  int64_t bytes() const {
    return planeOffset() +
           tiles() * SignPlaneLayout{0, columns, sets()}.tileBytes();
  }

private:
  /// A float for every real row, padding included.
  int64_t rowValueBytes() const {
    return tiles() * 2 * SignPlaneLayout::kTileRows * 4;
  }
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

/// int8 weights, one scale per row. Scales: float32 [tile][16]; sums: int32
/// [tile][16], the sum of each row's weights; values: [tile][group of 4
/// columns][16 rows][4 columns].
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

} // namespace fairy2
