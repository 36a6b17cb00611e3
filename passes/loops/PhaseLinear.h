// SPDX-License-Identifier: Apache-2.0
//
// What the forms of the phase-linear kernel share.
#pragma once

#include "dialect/Packing.h"
#include "passes/loops/LoopContext.h"

namespace fairy2 {

/// Bytes of the look-up tables of one block of 16 columns: four 16-entry
/// tables for the real parts of x, then four for the imaginary parts.
constexpr int64_t kTableBytes = 128;

/// The sums over a row's columns for 16 rows, as float vectors.
struct AxisSums {
  mlir::Value ar, ai, br, bi;
};

/// What a kernel reads to find the sums of a tile.
struct PhaseInput {
  const SignPlanePack &pack;
  const CpuTarget &target;
  int64_t inputStride;
  mlir::Value planes;
  /// With tables: low, high, magnitudes, wide count, wide list. Otherwise: x.
  mlir::ValueRange arguments;
  mlir::Value tile; ///< first byte of the tile's planes
};

/// How many sets a form works on side by side.
int64_t setsTogether(const PhaseInput &input, bool isInt8);

/// Exact integer sums of sets [first, first + count), converted to float.
llvm::SmallVector<AxisSums> phaseSums(Emitter &e, const PhaseInput &input,
                                      mlir::Value token, int64_t first,
                                      int64_t count);
/// Sums of float activations, in the order of the columns.
AxisSums floatPhaseSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                        int64_t set);

/// Emits the step that builds the look-up tables of every token.
void callBuildTables(PackedLinearOp op, const SignPlanePack &pack,
                     LoopContext &context);

/// Stores 16 rows, or only the first `validRows` of a tile that sticks out;
/// `allWhole` says that no tile does.
void storeRows(Emitter &e, mlir::Value rows, mlir::Value memref, mlir::Value at,
               mlir::Value validRows, bool allWhole);

} // namespace fairy2
