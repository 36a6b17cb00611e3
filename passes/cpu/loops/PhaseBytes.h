// SPDX-License-Identifier: Apache-2.0
//
// Codes of a tile of 16 rows into bytes of the real matrix.
//
// A block's 16 columns are taken in four steps of 4 columns that lie 4 apart:
// each of a chunk's bytes holds the codes of 4 neighbours, so a step takes the
// same bits of every byte, and one transposition of a chunk puts all steps'
// bytes beside their rows.
#pragma once

#include "passes/cpu/loops/PhaseLookup.h"

namespace fairy2 {

/// The steps of a block, and which columns are a step's.
struct ByteSteps {
  static constexpr int64_t kGroup = SignPlaneLayout::kGroupColumns;
  static constexpr int64_t kPerBlock = kBlock / kGroup;

  /// Column `i` of a step within its block. The order is the one in which
  /// pairs of stages have their bits (PhaseBytes.cpp).
  static int64_t column(int64_t step, int64_t i) {
    return kGroup * i + step / 2 + 2 * (step % 2);
  }
};

/// The bytes of a step, [half of x][part], each [row][column].
using StepBytes = std::array<std::array<mlir::Value, 2>, 2>;

/// Decodes the tile that `input` points at into A' + offset.
class PhaseBytes {
public:
  PhaseBytes(Emitter &e, const PhaseInput &input, int64_t offset);
  /// body(step, its bytes), for the steps of the block whose first chunk is
  /// `chunk`.
  void decodeBlock(mlir::Value chunk,
                   llvm::function_ref<void(int64_t, StepBytes)> body);

private:
  /// One or two stages of U or W, whose bits join in an index.
  struct Stages {
    int64_t set, count;
    /// [axis][place of a step's bits in a nibble]: tables of the sum of the
    /// integers whose bits are set. The same where the axes' are equal.
    llvm::SmallVector<mlir::Value> tables[2];
  };
  mlir::Value integerOf(int64_t set, int64_t axis);
  mlir::Value tableOf(const Stages &stages, int64_t axis, int64_t place);
  mlir::Value codesOf(mlir::Value chunk, int64_t set);
  Values indicesOf(mlir::Value chunk, const Stages &stages);
  mlir::Value bytes(mlir::Value integer);
  mlir::Value lookUp(mlir::Value table, mlir::Value nibbles);

  Emitter &e;
  const PhaseInput &input;
  llvm::SmallVector<Stages> stages;
  mlir::Value offset;
  /// What sums of c_re a begin with, of U and of W.
  mlir::Value firstA[2];
};

} // namespace fairy2
