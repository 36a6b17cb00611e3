// SPDX-License-Identifier: Apache-2.0
//
// What the forms of the look-up share: how planes, tables and spans are walked,
// and how exact integer sums become terms of y.
//
// For a group of 4 columns with values v_0..v_3 and a nibble e of sign bits,
// T[e] = sum over b of max(s_b v_b, 0) with s_b = +-1 as bit b says. It is at
// least 0 and fits 9 bits, and sum_b s_b v_b = 2 T[e] - sum_b |v_b|, so with
// A = sum_j |x_j| and the sums c0..c3 of T over the planes p, q and x_re, x_im:
//   ar = c0 + c2 - A_re, br = c0 - c2, ai = c1 + c3 - A_im, bi = c1 - c3.
// Of a plane of real signs the low nibble belongs to the first half of x and
// the high one to the second, so with the sums c0 and c1 of T it is 2 (c0 + c1)
// - A, A being that of all of x: half of the look-ups, in the same tables.
// `low` holds T mod 256. Blocks of 16 columns with some T > 255 are wide and
// rare; `high` holds 64 (T / 256) for them, added with weight 4 in a loop of
// its own.
#pragma once

#include "dialect/phase/Packing.h"
#include "passes/cpu/CpuTarget.h"
#include "passes/cpu/loops/Emitter.h"

namespace fairy2 {

//===----------------------------------------------------------------------===//
// What a kernel reads
//===----------------------------------------------------------------------===//

/// Bytes of the look-up tables of one block of 16 columns: four 16-entry
/// tables for the first half of x (its real parts), then four for the second.
constexpr int64_t kTableBytes = 128;

/// The tables of all tokens, which LookupTables.cpp builds.
struct Tables {
  mlir::Value low, high;
  /// int32 [token][span][2]: A of the halves of x.
  mlir::Value magnitudes;
  /// The numbers of a token's wide blocks in order; those of span i are the
  /// entries from wideStarts[token][i] up to wideStarts[token][i + 1].
  mlir::Value wideStarts, wideList;
};

/// What is read to find the sums of a tile.
struct PhaseInput {
  const SignPlanePack &pack;
  const CpuTarget &target;
  mlir::Value planes;
  mlir::Value scales, units; ///< null where the pack has none
  Tables tables;
  mlir::Value x; ///< null where tables stand for it
  int64_t inputStride = 0;
  mlir::Value aheadL1, aheadL2; ///< bytes that the stream is fetched ahead
  mlir::Value tile;             ///< first byte of the tile's planes
  mlir::Value tileScales;       ///< index of the tile's first scale
  mlir::Value tileUnits;        ///< index of the tile's first unit

  bool usesTables() const { return !x; }
};

/// Numbers of tokens that the target's form can work on side by side, largest
/// first and 1 last.
llvm::SmallVector<int64_t> tokenGroups(const PhaseInput &input);

/// Scratch on the stack of a kernel for the work on `tokens` tokens, null when
/// they need none. To be called at the kernel's start.
mlir::Value sumScratch(Emitter &e, const PhaseInput &input, int64_t tokens);

/// Finds y of `tokens` tokens from `first` on and hands it to body(token, y):
/// the terms of all sets, added from the first set to the last. y has 16 rows
/// of each part of the pack, real and imaginary part of U x + W conj(x) or S x,
/// not yet times the token's scale. On the int8 grid the terms of a span are
/// added as integers and converted once; y is then over the unit, unless tiles
/// have units of their own.
void forEachToken(Emitter &e, const PhaseInput &input, mlir::Value first,
                  int64_t tokens, mlir::Value scratch,
                  llvm::function_ref<void(mlir::Value, Values)> body);

//===----------------------------------------------------------------------===//
// What the forms share
//===----------------------------------------------------------------------===//

constexpr int64_t kBlock = SignPlaneLayout::kBlockColumns;
constexpr int64_t kChunk = SignPlaneLayout::kChunkBytes;
/// Sums of T that a set needs: planes p and q times x_re and x_im, or one for
/// each half of x.
inline int64_t sumsPerSet(const SignPlanePack &pack) {
  return pack.isReal ? 2 : 4;
}
/// The number of the sum that nibbles of `plane` (0: low) looked up in tables
/// of `part` of x are added to; negative where they are not looked up.
inline int sumIndex(const SignPlanePack &pack, int plane, int part) {
  if (!pack.isReal)
    return plane * 2 + part;
  return plane == part ? plane : -1;
}

/// A part of the rows whose codes share their scales: all columns, or
/// kScaleTile of them and at the end the rest.
struct Span {
  mlir::Value index;
  int64_t columns;

  int64_t blocks() const { return (columns + kBlock - 1) / kBlock; }
};

/// The columns of a pack, as one span or cut into tiles.
struct Spans {
  int64_t columns;
  bool isTiled;

  explicit Spans(const SignPlanePack &pack)
      : columns(pack.columns), isTiled(pack.isTiled()) {}
  int64_t whole() const { return isTiled ? columns / kScaleTile : 0; }
  int64_t rest() const { return isTiled ? columns % kScaleTile : columns; }
  int64_t count() const { return whole() + (rest() ? 1 : 0); }
};

/// body(span, carried) -> carried for the spans from the first to the last.
Values forSpans(Emitter &e, const Spans &spans, mlir::ValueRange init,
                llvm::function_ref<Values(Span, mlir::ValueRange)> body);
mlir::Value firstBlock(Emitter &e, const Span &span);

/// U and W take turns.
inline bool isConjugated(int64_t set) { return set % 2 == 1; }

/// The low nibbles of all bytes, and the high ones.
mlir::Value lowNibbles(Emitter &e, mlir::Value v);
mlir::Value highNibbles(Emitter &e, mlir::Value v);

/// Index of the first byte of a token's table of block `block`.
mlir::Value tableAt(Emitter &e, const PhaseInput &input, mlir::Value token,
                    mlir::Value block);
/// Number i of the token's wide blocks.
mlir::Value wideBlock(Emitter &e, const PhaseInput &input, mlir::Value token,
                      mlir::Value i);
/// The span's part of the list of wide blocks.
std::pair<mlir::Value, mlir::Value> wideRange(Emitter &e,
                                              const PhaseInput &input,
                                              mlir::Value token,
                                              const Span &span);
/// First byte of the chunk of (set, block) in the tile's planes.
mlir::Value chunkAt(Emitter &e, const PhaseInput &input, mlir::Value set,
                    mlir::Value block);

/// Asks for the chunk that lies the session's distances behind this one in the
/// stream; when every chunk is read once, every line is asked for once.
void prefetch(Emitter &e, const PhaseInput &input, mlir::Value chunk);

/// From sums over planes to exact sums: {ar, ai, br, bi} of phases, S x of real
/// signs.
Values exactSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                 const Span &span, mlir::ValueRange sums);
/// y plus one set's term within a span, of phases
///   U: y_re += s_re ar - s_im bi, y_im += s_re ai + s_im br
///   W: y_re += s_re ar + s_im bi, y_im += s_im br - s_re ai
/// and of real signs s S x. On the int8 grid with integers in place of scales:
/// y is then of the type of the exact sums.
Values addTerm(Emitter &e, const PhaseInput &input, mlir::Value set,
               bool isConjugated, const Span &span, mlir::ValueRange sums,
               mlir::ValueRange y);
/// What addTerm begins with: zeros, one for each part of the pack. `sum` is an
/// exact sum.
Values noTerms(Emitter &e, const PhaseInput &input, mlir::Value sum);
/// Sums of terms on the int8 grid as floats, times the span's unit where tiles
/// have units of their own.
Values offGrid(Emitter &e, const PhaseInput &input, const Span &span,
               mlir::ValueRange terms);

/// Spans of tiles whose tables for so many tokens stay in L1 while all sets
/// pass by, in the quad form.
int64_t panelSpans(int64_t tokens);

/// Blocks whose chunks stay in L1 while their sets pass by in turns, where the
/// sums of all sets do not fit into registers at once.
inline int64_t panelBlocks(const SignPlanePack &pack) {
  constexpr int64_t kPanelBytes = 16384; // half of the smallest L1
  return std::max<int64_t>(1, kPanelBytes / pack.matrix(0).blockBytes());
}

/// Sums of T for one token, in one walk over the span: [set][sum].
Values quadSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                const Span &span);
Values laneSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                const Span &span, mlir::Value scratch);
/// Exact sums, as exactSums has them, by decoding each code to i^k = a + i b,
/// or to signs, and multiplying it with x as integers: the oracle.
Values scalarSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                  int64_t set, const Span &span);
/// The same sums of floats, in the order of the columns.
Values floatSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                 int64_t set, const Span &span);

/// forEachToken for several tokens at once, in the quad form.
void forEachTokenOfBatch(Emitter &e, const PhaseInput &input, mlir::Value first,
                         int64_t tokens, mlir::Value scratch,
                         llvm::function_ref<void(mlir::Value, Values)> body);

} // namespace fairy2
