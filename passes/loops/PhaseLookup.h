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
// `low` holds T mod 256. Blocks of 16 columns with some T > 255 are wide and
// rare; `high` holds 64 (T / 256) for them, added with weight 4 in a loop of
// its own.
#pragma once

#include "passes/loops/PhaseLinear.h"

namespace fairy2 {

constexpr int64_t kBlock = SignPlaneLayout::kBlockColumns;
constexpr int64_t kChunk = SignPlaneLayout::kChunkBytes;
/// Planes p and q times x_re and x_im.
constexpr int64_t kSums = 4;

/// `Magnitudes` are int32 [token][span][2]: A_re and A_im. `WideList` has the
/// numbers of a token's wide blocks in order; those of span i are the entries
/// from WideStarts[token][i] up to WideStarts[token][i + 1].
enum TableArgument { Low, High, Magnitudes, WideStarts, WideList };

/// A part of the rows whose codes share their scales: all columns, or
/// kScaleTile of them and at the end the rest.
struct Span {
  mlir::Value index;
  int64_t columns;

  int64_t blocks() const { return (columns + kBlock - 1) / kBlock; }
};

using Values = llvm::SmallVector<mlir::Value>;

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

/// From sums over planes to sums over axes, exact, as floats.
AxisSums axisSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                  const Span &span, mlir::ValueRange sums);
/// One set's part of U x + W conj(x) within a span:
///   U: y_re += s_re ar - s_im bi, y_im += s_re ai + s_im br
///   W: y_re += s_re ar + s_im bi, y_im += s_im br - s_re ai
SetTerm setTerm(Emitter &e, const PhaseInput &input, mlir::Value set,
                bool isConjugated, const Span &span, const AxisSums &sums);

/// Sums of T for one token and `count` sets from `first` on: [set][sum].
Values quadSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                int64_t first, int64_t count, const Span &span);
/// Sums of T for one token and one set.
Values laneSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                int64_t set, const Span &span);
/// Decodes each code to i^k = a + i b and multiplies it with x as integers:
/// the oracle.
AxisSums scalarSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                    int64_t set, const Span &span);
/// Sums of floats, in the order of the columns.
AxisSums floatSums(Emitter &e, const PhaseInput &input, mlir::Value token,
                   int64_t set, const Span &span);

/// forEachToken for several tokens at once, in the quad form.
void forEachTokenOfBatch(Emitter &e, const PhaseInput &input,
                         mlir::Value first, int64_t tokens,
                         mlir::Value scratch,
                         llvm::function_ref<void(mlir::Value, TermOfSet)> body);

} // namespace fairy2
