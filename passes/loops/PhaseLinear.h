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

/// Numbers of tokens that the target's form can work on side by side, largest
/// first and 1 last.
llvm::SmallVector<int64_t> tokenGroups(const PhaseInput &input, bool isInt8);

/// Scratch on the stack of a kernel for the sums of `tokens` tokens, null when
/// one token needs none. To be called at the kernel's start.
mlir::Value sumScratch(Emitter &e, const PhaseInput &input, int64_t tokens);

/// Finds the exact sums of `tokens` tokens from `first` on and hands them to
/// body(token, sums of a set), which must ask for the sets in order.
using SumsOfSet = llvm::function_ref<AxisSums(int64_t set)>;
void forEachToken(Emitter &e, const PhaseInput &input, mlir::Value first,
                  int64_t tokens, mlir::Value scratch,
                  llvm::function_ref<void(mlir::Value, SumsOfSet)> body);

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
