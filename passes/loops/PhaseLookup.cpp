// SPDX-License-Identifier: Apache-2.0
//
// The exact integer sums by table look-up, and their oracle.
//
// For a group of 4 columns with values v_0..v_3 and a nibble e of sign bits,
// T[e] = sum over b of max(s_b v_b, 0) with s_b = +-1 as bit b says. It is at
// least 0 and fits 9 bits, and sum_b s_b v_b = 2 T[e] - sum_b |v_b|, so with
// A = sum_j |x_j| and the sums c0..c3 of T over the planes p, q and x_re, x_im:
//   ar = c0 + c2 - A_re, br = c0 - c2, ai = c1 + c3 - A_im, bi = c1 - c3.
// `low` holds T mod 256. Blocks of 16 columns with some T > 255 are wide and
// rare; `high` holds 64 (T / 256) for them, added with weight 4 in a loop of
// its own.
#include "passes/loops/PhaseLinear.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace fairy2 {
namespace {

constexpr int64_t kBlock = SignPlaneLayout::kBlockColumns;
constexpr int64_t kChunk = SignPlaneLayout::kChunkBytes;
/// Planes p and q times x_re and x_im.
constexpr int64_t kSums = 4;
/// Tables that several tokens share L1 with while all sets pass by.
constexpr int64_t kPanelBytes = 32768;

/// `Magnitudes` are int32 [token][span][2]: A_re and A_im. `WideList` has the
/// numbers of a token's wide blocks in order; those of span i are the entries
/// from WideStarts[token][i] up to WideStarts[token][i + 1].
enum TableArgument { Low, High, Magnitudes, WideStarts, WideList };

/// A part of the rows whose codes share their scales: all columns, or
/// kScaleTile of them and at the end the rest.
struct Span {
  Value index;
  int64_t columns;

  int64_t blocks() const { return (columns + kBlock - 1) / kBlock; }
};

/// body(span, carried) -> carried for the spans from the first to the last.
SmallVector<Value>
forSpans(Emitter &e, const SignPlanePack &pack, ValueRange init,
         function_ref<SmallVector<Value>(Span, ValueRange)> body) {
  if (!pack.isTiled())
    return body({e.index(0), pack.columns}, init);
  const int64_t whole = pack.columns / kScaleTile;
  SmallVector<Value> values = e.forLoop(
      e.index(0), e.index(whole), 1, init,
      [&](Value span, ValueRange carried) {
        return body({span, kScaleTile}, carried);
      });
  if (pack.columns % kScaleTile)
    values = body({e.index(whole), pack.columns % kScaleTile}, values);
  return values;
}

Value firstBlock(Emitter &e, const Span &span) {
  return e.mul(span.index, kScaleTile / kBlock);
}

Value andBytes(Emitter &e, Value v, int64_t mask) {
  return arith::AndIOp::create(e, v, e.constant(v.getType(), mask));
}

/// The low nibbles of all bytes, and the high ones. The shift is on words: it
/// is one instruction everywhere, bytes are not.
Value lowNibbles(Emitter &e, Value v) { return andBytes(e, v, 15); }
Value highNibbles(Emitter &e, Value v) {
  const int64_t lanes = cast<VectorType>(v.getType()).getNumElements() / 4;
  Value words = e.bitcast(e.ints(lanes), v);
  Value shifted =
      arith::ShRUIOp::create(e, words, e.constant(e.ints(lanes), 4));
  return lowNibbles(e, e.bitcast(v.getType(), shifted));
}

/// Index of the first byte of a token's table of block `block`.
Value tableAt(Emitter &e, const PhaseInput &input, Value token, Value block) {
  const int64_t blocks = input.pack.matrix(0).blocks();
  return e.mul(e.add(e.mul(token, blocks), block), kTableBytes);
}

Value wideBlock(Emitter &e, const PhaseInput &input, Value token, Value i) {
  const int64_t blocks = input.pack.matrix(0).blocks();
  return e.toIndex(e.load(input.arguments[WideList],
                          e.add(e.mul(token, blocks), i)));
}

/// The span's part of the list of wide blocks.
std::pair<Value, Value> wideRange(Emitter &e, const PhaseInput &input,
                                  Value token, const Span &span) {
  Value at = e.add(e.mul(token, input.pack.spans() + 1), span.index);
  Value starts = input.arguments[WideStarts];
  return {e.toIndex(e.load(starts, at)),
          e.toIndex(e.load(starts, e.add(at, 1)))};
}

/// First byte of the chunk of (set, block) in the tile's planes.
Value chunkAt(Emitter &e, const PhaseInput &input, Value set, Value block) {
  return e.add(e.add(input.tile, e.mul(block, kChunk)),
               e.mul(set, input.pack.matrix(0).setBytes()));
}

/// Fetches what this walk reads later. `count` sets are read side by side, so
/// `bytesAhead` of the weight stream are a number of blocks in each of them;
/// after the last block come the next `count` sets, in this tile or the next.
void prefetch(Emitter &e, const PhaseInput &input, Value chunk, Value block,
              int64_t count) {
  const SignPlaneLayout matrix = input.pack.matrix(0);
  const int64_t blocks = matrix.blocks(), span = count * matrix.setBytes();
  for (auto [bytesAhead, level] :
       {std::pair{input.target.prefetchL2, 2},
        std::pair{input.target.prefetchL1, 3}}) {
    if (bytesAhead == 0)
      continue;
    const int64_t ahead = bytesAhead / (count * kChunk);
    const int64_t inTheseSets =
        ahead / blocks * span + ahead % blocks * kChunk;
    Value stays = arith::CmpIOp::create(e, arith::CmpIPredicate::ult, block,
                                        e.index(blocks - ahead % blocks));
    Value offset = arith::SelectOp::create(
        e, stays, e.index(inTheseSets),
        e.index(inTheseSets + span - matrix.setBytes()));
    e.prefetch(input.planes, e.add(chunk, offset), level);
  }
}

//===----------------------------------------------------------------------===//
// Quad form: one register holds the four tables of a block
//===----------------------------------------------------------------------===//

/// The two sign planes of a chunk, four groups of a row side by side (a chunk
/// is [group][row]; dot products want [row][group]).
std::array<Value, 2> quadPlanes(Emitter &e, const PhaseInput &input,
                                Value chunk) {
  SmallVector<int64_t> transpose;
  for (int64_t row = 0; row < SignPlaneLayout::kTileRows; ++row)
    for (int64_t group = 0; group < 4; ++group)
      transpose.push_back(group * SignPlaneLayout::kTileRows + row);
  Value codes = e.loadVector(input.planes, chunk, kChunk, 64);
  Value rows = vector::ShuffleOp::create(e, codes, codes, transpose);
  return {lowNibbles(e, rows), highNibbles(e, rows)};
}

/// The four tables of x_re and of x_im of a block.
std::array<Value, 2> quadTables(Emitter &e, Value table, Value at) {
  return {e.loadVector(table, at, kChunk, 64),
          e.loadVector(table, e.add(at, kChunk), kChunk, 64)};
}

/// Adds one chunk: [p re, p im, q re, q im], one row per 32-bit lane.
void addQuadChunk(Emitter &e, ArrayRef<Value> tables, ArrayRef<Value> planes,
                  int64_t factor, ValueRange sums, SmallVector<Value> &next) {
  for (int plane = 0; plane < 2; ++plane)
    for (int part = 0; part < 2; ++part) {
      Value found = TableLookupOp::create(e, LookupLanes::Quad, tables[part],
                                          planes[plane]);
      next.push_back(Sum4AccumulateOp::create(e, sums[plane * 2 + part], found,
                                              factor));
    }
}

/// One token, `count` sets side by side: [set][sum].
SmallVector<Value> quadSums(Emitter &e, const PhaseInput &input, Value token,
                            int64_t first, int64_t count, const Span &span) {
  auto addBlock = [&](Value block, bool isHigh, ValueRange sums) {
    const auto tables =
        quadTables(e, input.arguments[isHigh ? High : Low],
                   tableAt(e, input, token, block));
    SmallVector<Value> next;
    for (int64_t s = 0; s < count; ++s) {
      Value chunk = chunkAt(e, input, e.index(first + s), block);
      if (!isHigh)
        prefetch(e, input, chunk, block, count);
      addQuadChunk(e, tables, quadPlanes(e, input, chunk), isHigh ? 4 : 1,
                   sums.slice(s * kSums, kSums), next);
    }
    return next;
  };
  SmallVector<Value> sums(count * kSums, e.constant(e.ints(), 0));
  Value begin = firstBlock(e, span);
  sums = e.forLoop(begin, e.add(begin, span.blocks()), 1, sums,
                   [&](Value block, ValueRange carried) {
                     return addBlock(block, false, carried);
                   });
  const auto [wideBegin, wideEnd] = wideRange(e, input, token, span);
  return e.forLoop(wideBegin, wideEnd, 1, sums,
                   [&](Value i, ValueRange carried) {
                     return addBlock(wideBlock(e, input, token, i), true,
                                     carried);
                   });
}

/// Adds the blocks [begin, end) of a set for several tokens: [token][sum].
SmallVector<Value> addQuadBlocks(Emitter &e, const PhaseInput &input,
                                 Value first, int64_t tokens, Value set,
                                 Value begin, Value end, ValueRange sums) {
  return e.forLoop(begin, end, 1, sums, [&](Value block, ValueRange carried) {
    Value chunk = chunkAt(e, input, set, block);
    prefetch(e, input, chunk, block, 1);
    const auto planes = quadPlanes(e, input, chunk);
    SmallVector<Value> next;
    for (int64_t t = 0; t < tokens; ++t)
      addQuadChunk(e,
                   quadTables(e, input.arguments[Low],
                              tableAt(e, input, e.add(first, t), block)),
                   planes, 1, carried.slice(t * kSums, kSums), next);
    return next;
  });
}

/// Several tokens of a matrix with scales that all columns share, one set after
/// the other: the work on a chunk's index is
/// shared by the tokens. Blocks are walked in panels whose tables stay in L1
/// while all sets pass by; between panels the sums wait in `scratch`,
/// [set][token][sum][16].
void quadBatchSums(Emitter &e, const PhaseInput &input, Value first,
                   int64_t tokens, Value scratch) {
  const int64_t blocks = input.pack.matrix(0).blocks();
  const int64_t panel = kPanelBytes / (tokens * kTableBytes);
  auto sumAt = [&](Value set, int64_t token) {
    return e.mul(e.add(e.mul(set, tokens), token), kSums * kLanes);
  };
  auto loadSums = [&](Value set, int64_t token, int64_t count) {
    SmallVector<Value> sums;
    for (int64_t k = 0; k < count * kSums; ++k)
      sums.push_back(e.loadVector(
          scratch, e.add(sumAt(set, token), k * kLanes), kLanes, 64));
    return sums;
  };
  auto storeSums = [&](ValueRange sums, Value set, int64_t token) {
    for (auto [k, sum] : llvm::enumerate(sums))
      e.storeVector(sum, scratch,
                    e.add(sumAt(set, token), int64_t(k) * kLanes), 64);
  };
  Value sets = e.index(input.pack.sets());
  Value zero = e.constant(e.ints(), 0);
  e.forLoop(e.index(0), sets, [&](Value set) {
    storeSums(SmallVector<Value>(tokens * kSums, zero), set, 0);
  });
  e.forLoop(
      e.index(0), e.index(blocks), panel, {},
      [&](Value start, ValueRange) -> SmallVector<Value> {
        Value end = arith::MinUIOp::create(e, e.add(start, panel),
                                           e.index(blocks));
        e.forLoop(e.index(0), sets, [&](Value set) {
          storeSums(addQuadBlocks(e, input, first, tokens, set, start, end,
                                  loadSums(set, 0, tokens)),
                    set, 0);
        });
        return {};
      });
  for (int64_t t = 0; t < tokens; ++t) {
    Value token = e.add(first, t);
    const auto [begin, end] =
        wideRange(e, input, token, {e.index(0), input.pack.columns});
    e.forLoop(begin, end, [&](Value i) {
      Value block = wideBlock(e, input, token, i);
      const auto tables = quadTables(e, input.arguments[High],
                                     tableAt(e, input, token, block));
      e.forLoop(e.index(0), sets, [&](Value set) {
        SmallVector<Value> next;
        addQuadChunk(e, tables,
                     quadPlanes(e, input, chunkAt(e, input, set, block)), 4,
                     loadSums(set, t, 1), next);
        storeSums(next, set, t);
      });
    });
  }
}

//===----------------------------------------------------------------------===//
// Lane form: one table per 16 bytes, sums of bytes in 16-bit lanes
//===----------------------------------------------------------------------===//

/// Adds one block of one set. Carried: [p re, p im, q re, q im][even, odd]:
/// sums of whole 16-bit lanes (low byte + 256 high byte, modulo 65536), and of
/// their high bytes alone.
SmallVector<Value> addLaneBlock(Emitter &e, const PhaseInput &input,
                                Value table, Value tableIndex, Value block,
                                int64_t set, bool fetchesAhead,
                                ValueRange carried) {
  const int64_t bytes = input.target.lookupBytes;
  const VectorType halves = e.vector(e.getI16Type(), bytes / 2);
  Value chunk = chunkAt(e, input, e.index(set), block);
  if (fetchesAhead)
    prefetch(e, input, chunk, block, 1);
  SmallVector<Value> sums(carried);
  for (int64_t piece = 0; piece < kChunk; piece += bytes) {
    Value codes =
        e.loadVector(input.planes, e.add(chunk, piece), bytes, bytes);
    Value planes[2] = {lowNibbles(e, codes), highNibbles(e, codes)};
    for (int part = 0; part < 2; ++part) {
      Value entries = e.loadVector(
          table, e.add(tableIndex, part * kChunk + piece), bytes, bytes);
      for (int plane = 0; plane < 2; ++plane) {
        Value found = TableLookupOp::create(e, LookupLanes::Lane, entries,
                                            planes[plane]);
        Value pairs = e.bitcast(halves, found);
        Value *sum = &sums[2 * (plane * 2 + part)];
        sum[0] = e.add(sum[0], pairs);
        sum[1] = e.add(sum[1], arith::ShRUIOp::create(e, pairs,
                                                      e.constant(halves, 8)));
      }
    }
  }
  return sums;
}

/// Widens the 16-bit sums to one 32-bit lane per row.
Value flushLane(Emitter &e, Value even, Value odd, int64_t bytes) {
  const VectorType halves = cast<VectorType>(even.getType());
  Value low = e.sub(even, arith::ShLIOp::create(e, odd, e.constant(halves, 8)));
  Value rows = arith::ExtUIOp::create(
      e, e.ints(bytes), vector::InterleaveOp::create(e, low, odd));
  Value sum = e.slice(rows, 0, kLanes);
  for (int64_t lane = kLanes; lane < bytes; lane += kLanes)
    sum = e.add(sum, e.slice(rows, lane, kLanes));
  return sum;
}

/// Runs `addBlock` over [begin, end) and flushes before a 16-bit lane of bytes
/// could overflow.
SmallVector<Value>
laneLoop(Emitter &e, const PhaseInput &input, Value begin, Value end,
         bool isHigh, ValueRange totals,
         function_ref<SmallVector<Value>(Value, ValueRange)> addBlock) {
  const int64_t bytes = input.target.lookupBytes;
  const int64_t bytesPerBlock = kChunk / bytes;
  const int64_t period = 256 / bytesPerBlock; // 256 * 255 < 65536
  const VectorType halves = e.vector(e.getI16Type(), bytes / 2);
  return e.forLoop(
      begin, end, period, totals, [&](Value start, ValueRange carried) {
        Value stop = arith::MinUIOp::create(e, e.add(start, period), end);
        SmallVector<Value> zero(2 * kSums, e.constant(halves, 0));
        SmallVector<Value> sums = e.forLoop(start, stop, 1, zero, addBlock);
        SmallVector<Value> next;
        for (int k = 0; k < kSums; ++k) {
          Value flushed = flushLane(e, sums[2 * k], sums[2 * k + 1], bytes);
          if (isHigh)
            flushed =
                arith::ShLIOp::create(e, flushed, e.constant(e.ints(), 2));
          next.push_back(e.add(carried[k], flushed));
        }
        return next;
      });
}

SmallVector<Value> laneSums(Emitter &e, const PhaseInput &input, Value token,
                            int64_t set, const Span &span) {
  SmallVector<Value> totals(kSums, e.constant(e.ints(), 0));
  Value begin = firstBlock(e, span);
  totals = laneLoop(
      e, input, begin, e.add(begin, span.blocks()), false, totals,
      [&](Value block, ValueRange carried) {
        return addLaneBlock(e, input, input.arguments[Low],
                            tableAt(e, input, token, block), block, set, true,
                            carried);
      });
  const auto [wideBegin, wideEnd] = wideRange(e, input, token, span);
  return laneLoop(e, input, wideBegin, wideEnd, true, totals,
                  [&](Value i, ValueRange carried) {
                    Value block = wideBlock(e, input, token, i);
                    return addLaneBlock(e, input, input.arguments[High],
                                        tableAt(e, input, token, block), block,
                                        set, false, carried);
                  });
}

//===----------------------------------------------------------------------===//
// The oracle: code by code
//===----------------------------------------------------------------------===//

/// Decodes each code to i^k = a + i b and multiplies it with x as integers.
AxisSums scalarSums(Emitter &e, const PhaseInput &input, Value token,
                    int64_t set, const Span &span) {
  const int64_t m = input.pack.columns;
  Type i32 = e.getI32Type();
  SmallVector<Value> rows(kSums, e.constant(e.ints(), 0));
  Value x = e.mul(token, input.inputStride);
  Value begin = e.mul(span.index, kScaleTile);
  for (int64_t row = 0; row < kLanes; ++row) {
    SmallVector<Value> zero(kSums, e.constant(i32, 0));
    SmallVector<Value> sums = e.forLoop(
        begin, e.add(begin, span.columns), 1, zero,
        [&](Value j, ValueRange carried) {
          Value group = e.div(j, SignPlaneLayout::kGroupColumns);
          Value at = e.add(e.add(input.tile,
                                 e.mul(group, SignPlaneLayout::kTileRows)),
                           set * input.pack.matrix(0).setBytes() + row);
          Value byte =
              arith::ExtUIOp::create(e, i32, e.load(input.planes, at));
          Value bit = arith::IndexCastOp::create(
              e, i32, e.rem(j, SignPlaneLayout::kGroupColumns));
          auto signBit = [&](int64_t plane) -> Value {
            Value shift = e.add(bit, e.constant(i32, plane));
            return arith::AndIOp::create(
                e, arith::ShRUIOp::create(e, byte, shift),
                e.constant(i32, 1));
          };
          Value p = signBit(0), q = signBit(4);
          Value a = e.sub(e.add(p, q), e.constant(i32, 1));
          Value b = e.sub(p, q);
          auto component = [&](int64_t shift) -> Value {
            return arith::ExtSIOp::create(
                e, i32,
                e.load(input.arguments[0], e.add(e.add(x, j), shift)));
          };
          Value re = component(0), im = component(m);
          return SmallVector<Value>{
              e.add(carried[0], e.mul(a, re)), e.add(carried[1], e.mul(a, im)),
              e.add(carried[2], e.mul(b, re)), e.add(carried[3], e.mul(b, im))};
        });
    for (int k = 0; k < kSums; ++k)
      rows[k] = vector::InsertOp::create(e, sums[k], rows[k], row);
  }
  auto toFloat = [&](Value v) -> Value {
    return arith::SIToFPOp::create(e, e.floats(), v);
  };
  return {toFloat(rows[0]), toFloat(rows[1]), toFloat(rows[2]),
          toFloat(rows[3])};
}

//===----------------------------------------------------------------------===//
// Float activations
//===----------------------------------------------------------------------===//

/// In the order of the columns.
AxisSums floatSums(Emitter &e, const PhaseInput &input, Value token,
                   int64_t set, const Span &span) {
  const int64_t m = input.pack.columns;
  const int64_t perGroup = SignPlaneLayout::kGroupColumns;
  Value x = e.mul(token, input.inputStride);
  Value planes =
      e.add(input.tile, e.index(set * input.pack.matrix(0).setBytes()));
  // x with the sign that the plane's bit of each row says.
  auto addGroup = [&](Value group, int64_t columns, ValueRange carried) {
    Value codes = arith::ExtUIOp::create(
        e, e.ints(),
        e.loadVector(input.planes,
                     e.add(planes, e.mul(group, SignPlaneLayout::kTileRows)),
                     kLanes, kLanes));
    SmallVector<Value> sums(carried);
    for (int64_t b = 0; b < columns; ++b) {
      Value column = e.add(e.add(x, e.mul(group, perGroup)), b);
      for (int part = 0; part < 2; ++part) {
        Value bits = e.bitcast(e.ints(),
            e.splat(e.load(input.arguments[0], e.add(column, part * m))));
        for (int plane = 0; plane < 2; ++plane) {
          Value sign = arith::ShLIOp::create(
              e, codes, e.constant(e.ints(), 31 - b - 4 * plane));
          Value minus = arith::AndIOp::create(
              e,
              arith::XOrIOp::create(e, sign, e.constant(e.ints(), -1)),
              e.constant(e.ints(), int64_t(INT32_MIN)));
          Value term = e.bitcast(e.floats(), arith::XOrIOp::create(e, bits, minus));
          Value &sum = sums[plane * 2 + part];
          sum = e.add(sum, term);
        }
      }
    }
    return sums;
  };
  SmallVector<Value> sums(kSums, e.constant(e.floats(), 0.0));
  Value begin = e.mul(span.index, kScaleTile / perGroup);
  Value end = e.add(begin, span.columns / perGroup);
  sums = e.forLoop(begin, end, 1, sums, [&](Value group, ValueRange carried) {
    return addGroup(group, perGroup, carried);
  });
  if (span.columns % perGroup)
    sums = addGroup(end, span.columns % perGroup, sums);
  Value half = e.constant(e.floats(), 0.5);
  auto axis = [&](int part, bool imaginary) {
    Value p = sums[part], q = sums[2 + part];
    return e.mul(imaginary ? e.sub(p, q) : e.add(p, q), half);
  };
  return {axis(0, false), axis(1, false), axis(0, true), axis(1, true)};
}

//===----------------------------------------------------------------------===//
// From sums to terms
//===----------------------------------------------------------------------===//

/// From sums over planes to sums over axes, exact, as floats.
AxisSums axisSums(Emitter &e, const PhaseInput &input, Value token,
                  const Span &span, ValueRange sums) {
  Value at = e.mul(e.add(e.mul(token, input.pack.spans()), span.index), 2);
  auto onAxis = [&](int part, bool imaginary) -> Value {
    Value p = sums[part], q = sums[2 + part];
    Value magnitude =
        e.splat(e.load(input.arguments[Magnitudes], e.add(at, part)));
    Value exact =
        imaginary ? e.sub(p, q) : e.sub(e.add(p, q), magnitude);
    return arith::SIToFPOp::create(e, e.floats(), exact);
  };
  return {onAxis(0, false), onAxis(1, false), onAxis(0, true), onAxis(1, true)};
}

/// One set's part of U x + W conj(x) within a span:
///   U: y_re += s_re ar - s_im bi, y_im += s_re ai + s_im br
///   W: y_re += s_re ar + s_im bi, y_im += s_im br - s_re ai
SetTerm setTerm(Emitter &e, const PhaseInput &input, Value set,
                bool isConjugated, const Span &span, const AxisSums &sums) {
  Value at = e.add(
      input.tileScales,
      e.mul(e.add(e.mul(span.index, input.pack.sets()), set), 2));
  auto scale = [&](int64_t axis) {
    return e.splat(e.load(input.scales, e.add(at, axis)));
  };
  Value scaleRe = scale(0), scaleIm = scale(1);
  Value reAr = e.mul(scaleRe, sums.ar), imBi = e.mul(scaleIm, sums.bi);
  Value reAi = e.mul(scaleRe, sums.ai), imBr = e.mul(scaleIm, sums.br);
  if (isConjugated)
    return {e.add(reAr, imBi), e.sub(imBr, reAi)};
  return {e.sub(reAr, imBi), e.add(reAi, imBr)};
}

/// The terms of `count` sets from `first` on, span after span.
SmallVector<SetTerm>
setTerms(Emitter &e, const PhaseInput &input, int64_t first, int64_t count,
         function_ref<SmallVector<AxisSums>(const Span &)> sumsOf) {
  SmallVector<Value> zero(2 * count, e.constant(e.floats(), 0.0));
  SmallVector<Value> values = forSpans(
      e, input.pack, zero, [&](const Span &span, ValueRange carried) {
        const SmallVector<AxisSums> sums = sumsOf(span);
        SmallVector<Value> next;
        for (int64_t s = 0; s < count; ++s) {
          const SetTerm term = setTerm(e, input, e.index(first + s),
                                       (first + s) % 2 == 1, span, sums[s]);
          next.push_back(e.add(carried[2 * s], term.real));
          next.push_back(e.add(carried[2 * s + 1], term.imaginary));
        }
        return next;
      });
  SmallVector<SetTerm> terms;
  for (int64_t s = 0; s < count; ++s)
    terms.push_back({values[2 * s], values[2 * s + 1]});
  return terms;
}

/// Several tokens of a matrix with scales per tile: as quadBatchSums, but what
/// waits in `scratch` is the terms, [set][token][re, im][16].
void quadBatchTerms(Emitter &e, const PhaseInput &input, Value first,
                    int64_t tokens, Value scratch) {
  auto placeOf = [&](Value set, int64_t k) {
    return e.add(e.mul(set, tokens * 2 * kLanes), k * kLanes);
  };
  auto forSets = [&](function_ref<void(Value, bool)> body) {
    e.forLoop(e.index(0), e.index(input.pack.scheme.stages), [&](Value stage) {
      body(e.mul(stage, 2), false);
      body(e.add(e.mul(stage, 2), 1), true);
    });
  };
  auto addSpan = [&](const Span &span, Value set, bool isConjugated,
                     ValueRange carried) {
    Value begin = firstBlock(e, span);
    const SmallVector<Value> sums = addQuadBlocks(
        e, input, first, tokens, set, begin, e.add(begin, span.blocks()),
        SmallVector<Value>(tokens * kSums, e.constant(e.ints(), 0)));
    SmallVector<Value> next;
    for (int64_t t = 0; t < tokens; ++t) {
      Value token = e.add(first, t);
      const auto [wideBegin, wideEnd] = wideRange(e, input, token, span);
      const SmallVector<Value> exact = e.forLoop(
          wideBegin, wideEnd, 1, ValueRange(sums).slice(t * kSums, kSums),
          [&](Value i, ValueRange partial) {
            Value block = wideBlock(e, input, token, i);
            SmallVector<Value> added;
            addQuadChunk(e,
                         quadTables(e, input.arguments[High],
                                    tableAt(e, input, token, block)),
                         quadPlanes(e, input, chunkAt(e, input, set, block)), 4,
                         partial, added);
            return added;
          });
      const SetTerm term =
          setTerm(e, input, set, isConjugated, span,
                  axisSums(e, input, token, span, exact));
      next.push_back(e.add(carried[2 * t], term.real));
      next.push_back(e.add(carried[2 * t + 1], term.imaginary));
    }
    return next;
  };
  auto addSpans = [&](Value begin, Value end, int64_t columns) {
    forSets([&](Value set, bool isConjugated) {
      SmallVector<Value> terms;
      for (int64_t k = 0; k < 2 * tokens; ++k)
        terms.push_back(e.loadVector(scratch, placeOf(set, k), kLanes, 64));
      terms = e.forLoop(begin, end, 1, terms,
                        [&](Value span, ValueRange carried) {
                          return addSpan({span, columns}, set, isConjugated,
                                         carried);
                        });
      for (auto [k, term] : llvm::enumerate(terms))
        e.storeVector(term, scratch, placeOf(set, int64_t(k)), 64);
    });
  };
  forSets([&](Value set, bool) {
    for (int64_t k = 0; k < 2 * tokens; ++k)
      e.storeVector(e.constant(e.floats(), 0.0), scratch, placeOf(set, k), 64);
  });
  const int64_t whole = input.pack.columns / kScaleTile;
  const int64_t panel =
      kPanelBytes / (tokens * kTableBytes * (kScaleTile / kBlock));
  e.forLoop(e.index(0), e.index(whole), panel, {},
            [&](Value start, ValueRange) -> SmallVector<Value> {
              addSpans(start,
                       arith::MinUIOp::create(e, e.add(start, panel),
                                              e.index(whole)),
                       kScaleTile);
              return {};
            });
  if (input.pack.columns % kScaleTile)
    addSpans(e.index(whole), e.index(whole + 1),
             input.pack.columns % kScaleTile);
}

} // namespace

SmallVector<int64_t> tokenGroups(const PhaseInput &input, bool isInt8) {
  if (isInt8 && input.target.form == LookupForm::Quad)
    return {4, 2, 1};
  return {1};
}

Value sumScratch(Emitter &e, const PhaseInput &input, int64_t tokens) {
  if (tokens == 1)
    return Value();
  const bool isTiled = input.pack.isTiled();
  const int64_t values =
      input.pack.sets() * tokens * (isTiled ? 2 : kSums) * kLanes;
  Type type = isTiled ? Type(e.getF32Type()) : Type(e.getI32Type());
  return memref::AllocaOp::create(e, MemRefType::get({values}, type),
                                  e.getI64IntegerAttr(64));
}

/// The terms that a batch left in `scratch`.
static void forEachTokenOfBatch(Emitter &e, const PhaseInput &input,
                                Value first, int64_t tokens, Value scratch,
                                function_ref<void(Value, TermOfSet)> body) {
  const bool isTiled = input.pack.isTiled();
  const int64_t values = isTiled ? 2 : kSums;
  if (isTiled)
    quadBatchTerms(e, input, first, tokens, scratch);
  else
    quadBatchSums(e, input, first, tokens, scratch);
  e.forLoop(e.index(0), e.index(tokens), [&](Value t) {
    Value token = e.add(first, t);
    body(token, [&](int64_t set) -> SetTerm {
      Value at = e.mul(e.add(t, set * tokens), values * kLanes);
      SmallVector<Value> loaded;
      for (int64_t k = 0; k < values; ++k)
        loaded.push_back(
            e.loadVector(scratch, e.add(at, k * kLanes), kLanes, 64));
      if (isTiled)
        return {loaded[0], loaded[1]};
      const Span all{e.index(0), input.pack.columns};
      return setTerm(e, input, e.index(set), set % 2 == 1, all,
                     axisSums(e, input, token, all, loaded));
    });
  });
}

void forEachToken(Emitter &e, const PhaseInput &input, Value first,
                  int64_t tokens, Value scratch,
                  function_ref<void(Value, TermOfSet)> body) {
  if (tokens > 1)
    return forEachTokenOfBatch(e, input, first, tokens, scratch, body);
  const bool isFloat =
      cast<MemRefType>(input.arguments[0].getType()).getElementType().isF32();
  const bool isQuad = input.target.form == LookupForm::Quad;
  auto sumsOf = [&](int64_t set, int64_t count,
                    const Span &span) -> SmallVector<AxisSums> {
    if (isFloat)
      return {floatSums(e, input, first, set, span)};
    if (input.target.form == LookupForm::Scalar)
      return {scalarSums(e, input, first, set, span)};
    const SmallVector<Value> sums =
        isQuad ? quadSums(e, input, first, set, count, span)
               : laneSums(e, input, first, set, span);
    SmallVector<AxisSums> result;
    for (int64_t s = 0; s < count; ++s)
      result.push_back(axisSums(e, input, first, span,
                                ValueRange(sums).slice(s * kSums, kSums)));
    return result;
  };
  // 4 sets of 4 sums are half of the 32 vector registers of AVX-512; the 16
  // registers of others hold the sums of one set.
  const int64_t together = isQuad && !isFloat ? 4 : 1;
  SmallVector<SetTerm> terms;
  body(first, [&](int64_t set) {
    if (set % together == 0) {
      const int64_t count =
          std::min<int64_t>(together, input.pack.sets() - set);
      terms = setTerms(e, input, set, count, [&](const Span &span) {
        return sumsOf(set, count, span);
      });
    }
    return terms[set % together];
  });
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

/// The 64 table entries of 16 values (four groups of 16), as 16-bit sums.
static Value tableEntries(Emitter &e, Value x) {
  Value zero = e.constant(x.getType(), 0);
  Value positive = e.maximum(x, zero);
  Value negative = e.maximum(e.sub(zero, x), zero);
  const VectorType entries = e.vector(e.getI16Type(), kChunk);
  Value sum;
  for (int64_t b = 0; b < 4; ++b) {
    SmallVector<int64_t> pick;
    for (int64_t group = 0; group < 4; ++group)
      for (int64_t entry = 0; entry < 16; ++entry)
        pick.push_back(4 * group + b + (entry >> b & 1 ? 0 : kBlock));
    Value part = arith::ExtUIOp::create(
        e, entries, vector::ShuffleOp::create(e, positive, negative, pick));
    sum = sum ? e.add(sum, part) : part;
  }
  return sum;
}

void callBuildTables(PackedLinearOp op, const SignPlanePack &pack,
                     LoopContext &context) {
  const int64_t m = pack.columns, blocks = pack.matrix(0).blocks();
  const int64_t spans = pack.spans();
  const Buffer &in = context.buffer(op.getInput());
  SmallVector<Value> kernelArguments = {context.view(op.getInput()),
                                        context.tokenCount(op.getInput())};
  for (unsigned i = 0; i < 5; ++i)
    kernelArguments.push_back(context.view(context.scratch(op, i)));
  const std::string name = llvm::formatv("build_tables_{0}_{1}", m, in.stride);
  context.call(
      op.getLoc(), name + (pack.isTiled() ? "_tiled" : ""), kernelArguments,
      [&](Emitter &e, ValueRange a) {
        ValueRange tables = a.drop_front(2);
        // Stores the tables of the 16 columns from `column` on; returns the
        // magnitudes of x_re and x_im, and whether an entry is over 255.
        auto buildBlock = [&](Value row, Value column, Value at, Value mask) {
          SmallVector<Value> magnitudes;
          Value anyHigh;
          for (int64_t part = 0; part < 2; ++part) {
            Value x = e.keep(
                e.loadVector(a[0], e.add(e.add(row, column), part * m), kBlock),
                mask);
            Value entries = tableEntries(e, x);
            Value low = arith::TruncIOp::create(e, e.bytes(kChunk), entries);
            Value high = arith::ShLIOp::create(
                e,
                arith::TruncIOp::create(
                    e, e.bytes(kChunk),
                    arith::ShRUIOp::create(e, entries,
                                           e.constant(entries.getType(), 8))),
                e.constant(e.bytes(kChunk), 6));
            e.storeVector(low, tables[Low], e.add(at, part * kChunk), 64);
            e.storeVector(high, tables[High], e.add(at, part * kChunk), 64);
            anyHigh = anyHigh ? arith::OrIOp::create(e, anyHigh, high) : high;
            magnitudes.push_back(math::AbsIOp::create(
                e, arith::ExtSIOp::create(e, e.ints(), x)));
          }
          Value any = vector::ReductionOp::create(
              e, vector::CombiningKind::OR, anyHigh);
          Value isWide = arith::CmpIOp::create(e, arith::CmpIPredicate::ne, any,
                                               e.constant(e.getI8Type(), 0));
          return std::tuple(magnitudes[0], magnitudes[1], isWide);
        };
        e.forall(a[1], [&](Value i) {
          Value row = e.mul(i, in.stride);
          Value starts = e.mul(i, spans + 1);
          Value none = e.constant(e.getI32Type(), 0);
          e.store(none, tables[WideStarts], starts);
          // Carried: number of wide blocks so far.
          forSpans(e, pack, none, [&](const Span &span, ValueRange before) {
            Value firstColumn = e.mul(span.index, kScaleTile);
            // Carried: that number, sums of |x_re| and |x_im|.
            auto addBlock = [&](Value offset, Value mask,
                                ValueRange carried) -> SmallVector<Value> {
              Value column = e.add(firstColumn, offset);
              Value block = e.div(column, kBlock);
              Value at = e.mul(e.add(e.mul(i, blocks), block), kTableBytes);
              const auto [re, im, isWide] = buildBlock(row, column, at, mask);
              // Written always, counted when wide: no branch.
              Value word =
                  arith::IndexCastOp::create(e, e.getI32Type(), block);
              e.store(word, tables[WideList],
                      e.add(e.mul(i, blocks), e.toIndex(carried[0])));
              Value count = e.add(
                  carried[0],
                  arith::ExtUIOp::create(e, e.getI32Type(), isWide));
              return {count, e.add(carried[1], re), e.add(carried[2], im)};
            };
            const SmallVector<Value> sums = e.forRow(
                span.columns,
                {before[0], e.constant(e.ints(), 0), e.constant(e.ints(), 0)},
                addBlock);
            Value at = e.mul(e.add(e.mul(i, spans), span.index), 2);
            for (int64_t part = 0; part < 2; ++part)
              e.store(e.treeSum(sums[1 + part]), tables[Magnitudes],
                      e.add(at, part));
            e.store(sums[0], tables[WideStarts],
                    e.add(e.add(starts, span.index), 1));
            return SmallVector<Value>{sums[0]};
          });
        });
      });
}

} // namespace fairy2
