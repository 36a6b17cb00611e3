// SPDX-License-Identifier: Apache-2.0
//
// What the forms of the kernel on sign planes share.
#pragma once

#include "dialect/phase/Packing.h"
#include "passes/cpu/loops/LoopContext.h"

namespace fairy2 {

/// Bytes of the look-up tables of one block of 16 columns: four 16-entry
/// tables for the first half of x (its real parts), then four for the second.
constexpr int64_t kTableBytes = 128;

using Values = llvm::SmallVector<mlir::Value>;

/// What a kernel reads to find the terms of a tile.
struct PhaseInput {
  const SignPlanePack &pack;
  const CpuTarget &target;
  int64_t inputStride;
  mlir::Value planes;
  /// With tables: low, high, magnitudes, starts in the list of wide blocks, and
  /// that list. Otherwise: x.
  mlir::ValueRange arguments;
  mlir::Value scales;
  mlir::Value tile;       ///< first byte of the tile's planes
  mlir::Value tileScales; ///< index of the tile's first scale
};

/// Numbers of tokens that the target's form can work on side by side, largest
/// first and 1 last.
llvm::SmallVector<int64_t> tokenGroups(const PhaseInput &input, bool isInt8);

/// Scratch on the stack of a kernel for the work on `tokens` tokens, null when
/// one token needs none. To be called at the kernel's start.
mlir::Value sumScratch(Emitter &e, const PhaseInput &input, int64_t tokens);

/// Finds the terms of `tokens` tokens from `first` on, of exact sums if x is
/// int8, and hands them to body(token, term of a set), which must ask for the
/// sets in order. A term is what the set adds to y for 16 rows: a value per
/// part of the pack, so real and imaginary part of U x or W conj(x), or one of
/// S x.
using TermOfSet = llvm::function_ref<Values(int64_t set)>;
void forEachToken(Emitter &e, const PhaseInput &input, mlir::Value first,
                  int64_t tokens, mlir::Value scratch,
                  llvm::function_ref<void(mlir::Value, TermOfSet)> body);

/// Emits the step that builds the look-up tables of every token.
void callBuildTables(PackedLinearOp op, const SignPlanePack &pack,
                     LoopContext &context);

/// Stores 16 rows, or only the first `validRows` of a tile that sticks out;
/// `allWhole` says that no tile does.
void storeRows(Emitter &e, mlir::Value rows, mlir::Value memref, mlir::Value at,
               mlir::Value validRows, bool allWhole);

} // namespace fairy2
