// SPDX-License-Identifier: Apache-2.0
//
// Bits of codes into sums of integers: two stages' bits of a column stand side
// by side in a nibble, and a look-up adds their integers.
#include "passes/cpu/loops/PhaseBytes.h"

#include "dialect/Fairy2LoopOps.h"

using namespace mlir;

namespace fairy2 {

/// The integer of a set on an axis.
Value PhaseBytes::integerOf(int64_t set, int64_t axis) {
  const SignPlanePack &pack = input.pack;
  if (!pack.hasScales())
    return e.constant(e.getI32Type(), int64_t(1)
                                          << (pack.sets() / 2 - 1 - set / 2));
  Value at = e.add(input.tileScales, set * pack.scalesPerSet() + axis);
  return e.load(input.scales, at);
}

Value PhaseBytes::bytes(Value integer) {
  return e.splat(arith::TruncIOp::create(e, e.getI8Type(), integer), kChunk);
}

/// In every 16 bytes: entry n is the sum of the integers of the stages whose
/// bit, number count * place + stage, is set in n.
Value PhaseBytes::tableOf(const Stages &stages, int64_t axis, int64_t place) {
  Value sum;
  for (int64_t i = 0; i < stages.count; ++i) {
    SmallVector<int8_t> isSet;
    for (int64_t entry = 0; entry < kChunk; ++entry)
      isSet.push_back(entry >> (stages.count * place + i) & 1 ? -1 : 0);
    Value ones = arith::ConstantOp::create(
        e, DenseElementsAttr::get(e.bytes(kChunk), ArrayRef<int8_t>(isSet)));
    Value part = arith::AndIOp::create(
        e, ones, bytes(integerOf(stages.set + 2 * i, axis)));
    sum = sum ? e.add(sum, part) : part;
  }
  return sum;
}

/// p and q are sign bits: a = p + q - 1 and b = p - q. So sums of c a begin at
/// minus the sum of c; those of U at the offset more, as does b of W: each byte
/// is a sum or a difference with one of the two.
PhaseBytes::PhaseBytes(Emitter &e, const PhaseInput &input, int64_t offset)
    : e(e), input(input),
      offset(e.constant(e.bytes(kChunk), int64_t(int8_t(offset)))) {
  const int64_t sets = input.pack.sets();
  Value first[2] = {e.constant(e.getI32Type(), offset),
                    e.constant(e.getI32Type(), 0)};
  for (int64_t set = 0; set < sets; ++set) {
    Value &mine = first[isConjugated(set)];
    mine = e.sub(mine, integerOf(set, 0));
  }
  for (int w = 0; w < 2; ++w)
    firstA[w] = bytes(first[w]);
  for (int64_t stage = 0; stage < sets; stage += 4)
    for (int64_t set = stage; set < stage + 2; ++set) {
      Stages &mine =
          stages.emplace_back(Stages{set, set + 2 < sets ? 2 : 1, {}});
      for (int64_t axis = 0; axis < 2; ++axis)
        for (int64_t place = 0; place < ByteSteps::kPerBlock / mine.count;
             ++place)
          mine.tables[axis].push_back(tableOf(mine, axis, place));
    }
}

/// A chunk's bytes, [row][group] in place of [group][row].
Value PhaseBytes::codesOf(Value chunk, int64_t set) {
  constexpr int64_t kRows = SignPlaneLayout::kTileRows;
  Value codes =
      e.loadVector(input.planes, e.add(chunk, set * kChunk), kChunk, kChunk);
  SmallVector<int64_t> from;
  for (int64_t row = 0; row < kRows; ++row)
    for (int64_t group = 0; group < kChunk / kRows; ++group)
      from.push_back(group * kRows + row);
  return vector::ShuffleOp::create(e, codes, codes, from);
}

/// Of one stage its codes, whose nibbles hold a bit of every step. Of two
/// stages the even bits of both, then the odd ones: a pair of bits for two
/// steps each.
Values PhaseBytes::indicesOf(Value chunk, const Stages &stages) {
  Value first = codesOf(chunk, stages.set);
  if (stages.count == 1)
    return {first};
  Value second = codesOf(chunk, stages.set + 2);
  const Type words = e.ints();
  auto constant = [&](int64_t value) { return e.constant(words, value); };
  auto join = [&](Value low, Value high) -> Value {
    constexpr int64_t kEven = 0x55555555, kOdd = 0xaaaaaaaa;
    return arith::OrIOp::create(e,
                                arith::AndIOp::create(e, low, constant(kEven)),
                                arith::AndIOp::create(e, high, constant(kOdd)));
  };
  Value a = e.bitcast(words, first), b = e.bitcast(words, second);
  Value even = join(a, arith::ShLIOp::create(e, b, constant(1)));
  Value odd = join(arith::ShRUIOp::create(e, a, constant(1)), b);
  return {e.bitcast(first.getType(), even), e.bitcast(first.getType(), odd)};
}

Value PhaseBytes::lookUp(Value table, Value nibbles) {
  const int64_t bytes = input.target.lookupBytes;
  if (bytes == kChunk)
    return TableLookupOp::create(e, LookupLanes::Lane, table, nibbles);
  Value found = e.constant(e.bytes(kChunk), 0);
  for (int64_t piece = 0; piece < kChunk; piece += bytes)
    found = vector::InsertStridedSliceOp::create(
        e,
        TableLookupOp::create(e, LookupLanes::Lane,
                              e.slice(table, piece, bytes),
                              e.slice(nibbles, piece, bytes)),
        found, ArrayRef<int64_t>{piece}, ArrayRef<int64_t>{1});
  return found;
}

/// indices = of U and of W, of one or two stages
/// for step: for axis, of U and of W:
///   p, q = sum of the integers whose bits are set
///   a = p + q, b = p - q
/// All sums are modulo 256; the bytes fit. Equal tables make equal sums, which
/// are found once.
void PhaseBytes::decodeBlock(Value chunk,
                             function_ref<void(int64_t, StepBytes)> body) {
  SmallVector<Values> indices;
  for (const Stages &mine : stages)
    indices.push_back(indicesOf(chunk, mine));
  for (int64_t step = 0; step < ByteSteps::kPerBlock; ++step) {
    Value sums[2][2][2]; // [U, W][axis][p, q]
    for (auto [mine, index] : llvm::zip(stages, indices)) {
      const int64_t places = int64_t(mine.tables[0].size());
      // One stage has its bits in the order of the columns.
      const int64_t place =
          mine.count == 1 ? ByteSteps::column(step, 0) : step % places;
      Value codes = index[mine.count == 1 ? 0 : step / places];
      const Value nibbles[2] = {lowNibbles(e, codes), highNibbles(e, codes)};
      for (int axis = 0; axis < 2; ++axis)
        for (int plane = 0; plane < 2; ++plane) {
          Value found = lookUp(mine.tables[axis][place], nibbles[plane]);
          Value &sum = sums[isConjugated(mine.set)][axis][plane];
          sum = sum ? e.add(sum, found) : found;
        }
    }
    Value a[2], b[2];
    for (int w = 0; w < 2; ++w) {
      a[w] = e.add(e.add(sums[w][0][0], sums[w][0][1]), firstA[w]);
      b[w] = e.sub(sums[w][1][0], sums[w][1][1]);
    }
    b[1] = e.add(b[1], offset);
    body(step, {{{e.add(a[0], a[1]), e.add(b[0], b[1])},
                 {e.sub(b[1], b[0]), e.sub(a[0], a[1])}}});
  }
}

} // namespace fairy2
