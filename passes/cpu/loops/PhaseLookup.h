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

#include "passes/cpu/loops/PhaseLinear.h"

namespace fairy2 {

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

/// `Magnitudes` are int32 [token][span][2]: A of the halves of x. `WideList`
/// has the numbers of a token's wide blocks in order; those of span i are the
/// entries from WideStarts[token][i] up to WideStarts[token][i + 1].
enum TableArgument { Low, High, Magnitudes, WideStarts, WideList };

/// A part of the rows whose codes share their scales: all columns, or
/// kScaleTile of them and at the end the rest.
struct Span {
  mlir::Value index;
  int64_t columns;

  int64_t blocks() const { return (columns + kBlock - 1) / kBlock; }
};

/// body(span, carried) -> carried for the spans from the first to the last.
Values forSpans(Emitter &e, const SignPlanePack &pack, mlir::ValueRange init,
                llvm::function_ref<Values(Span, mlir::ValueRange)> body);
mlir::Value firstBlock(Emitter &e, const Span &span);

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

/// Fetches what this walk reads later. `count` sets are read side by side, so
/// the target's distances in the weight stream are a number of blocks in each
/// of them; after the last block come the next `count` sets, in this tile or
/// the next.
void prefetch(Emitter &e, const PhaseInput &input, mlir::Value chunk,
              mlir::Value block, int64_t count);

/// From sums over planes to exact sums, as floats: {ar, ai, br, bi} of phases,
/// S x of real signs.
Values exactSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                 const Span &span, mlir::ValueRange sums);
/// One set's term within a span, of phases
///   U: y_re += s_re ar - s_im bi, y_im += s_re ai + s_im br
///   W: y_re += s_re ar + s_im bi, y_im += s_im br - s_re ai
/// and of real signs s S x.
Values setTerm(Emitter &e, const PhaseInput &input, mlir::Value set,
               bool isConjugated, const Span &span, mlir::ValueRange sums);

/// Sums of T for one token and `count` sets from `first` on: [set][sum].
Values quadSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                int64_t first, int64_t count, const Span &span);
/// Sums of T for one token and one set.
Values laneSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                int64_t set, const Span &span);
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
                         llvm::function_ref<void(mlir::Value, TermOfSet)> body);

} // namespace fairy2
