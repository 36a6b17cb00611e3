// SPDX-License-Identifier: Apache-2.0
//
// Sums without tables: the oracle of the look-ups, and float activations.
#include "passes/cpu/loops/PhaseLookup.h"

using namespace mlir;

namespace fairy2 {

/// First byte, row 0, of a group of 4 columns of a set.
static Value groupAt(Emitter &e, const PhaseInput &input, int64_t set,
                     Value group) {
  constexpr int64_t kGroups = kBlock / SignPlaneLayout::kGroupColumns;
  Value chunk = chunkAt(e, input, e.index(set), e.div(group, kGroups));
  return e.add(chunk, e.mul(e.rem(group, kGroups), SignPlaneLayout::kTileRows));
}

/// for row of the tile: for column j of the span:
///   (a, b) = the code of (set, row, j), decoded from its two bits
///   ar += a x_re[j], ai += a x_im[j], br += b x_re[j], bi += b x_im[j]
Values scalarSums(Emitter &e, const PhaseInput &input, Value token, int64_t set,
                  const Span &span) {
  const int64_t m = input.pack.columns;
  const int64_t count = input.pack.isReal ? 1 : 4;
  Type i32 = e.getI32Type();
  Values rows(count, e.constant(e.ints(), 0));
  Value x = e.mul(token, input.inputStride);
  Value begin = e.mul(span.index, kScaleTile);
  for (int64_t row = 0; row < kLanes; ++row) {
    Values zero(count, e.constant(i32, 0));
    SmallVector<Value> sums = e.forLoop(
        begin, e.add(begin, span.columns), 1, zero,
        [&](Value j, ValueRange carried) {
          Value group = e.div(j, SignPlaneLayout::kGroupColumns);
          Value at = e.add(groupAt(e, input, set, group), row);
          Value byte = arith::ExtUIOp::create(e, i32, e.load(input.planes, at));
          Value bit = arith::IndexCastOp::create(
              e, i32, e.rem(j, SignPlaneLayout::kGroupColumns));
          auto signBit = [&](int64_t plane) -> Value {
            Value shift = e.add(bit, e.constant(i32, plane));
            return arith::AndIOp::create(
                e, arith::ShRUIOp::create(e, byte, shift), e.constant(i32, 1));
          };
          Value p = signBit(0), q = signBit(4);
          auto component = [&](int64_t shift) -> Value {
            return arith::ExtSIOp::create(
                e, i32, e.load(input.x, e.add(e.add(x, j), shift)));
          };
          Value re = component(0), im = component(m);
          Value one = e.constant(i32, 1);
          if (input.pack.isReal) {
            auto sign = [&](Value bit) { return e.sub(e.add(bit, bit), one); };
            return Values{e.add(carried[0],
                                e.add(e.mul(sign(p), re), e.mul(sign(q), im)))};
          }
          Value a = e.sub(e.add(p, q), one), b = e.sub(p, q);
          return Values{
              e.add(carried[0], e.mul(a, re)), e.add(carried[1], e.mul(a, im)),
              e.add(carried[2], e.mul(b, re)), e.add(carried[3], e.mul(b, im))};
        });
    for (int64_t k = 0; k < count; ++k)
      rows[k] = vector::InsertOp::create(e, sums[k], rows[k], row);
  }
  return rows;
}

/// for group of 4 columns: codes = the group's byte of each of the 16 rows
///   for column of the group, for plane, for half of x:
///     sum += x[column], its sign bit taken from the codes
/// sums over planes become sums over a and b, as in PhaseLookup.h
Values floatSums(Emitter &e, const PhaseInput &input, Value token, int64_t set,
                 const Span &span) {
  const int64_t m = input.pack.columns;
  const int64_t perGroup = SignPlaneLayout::kGroupColumns;
  Value x = e.mul(token, input.inputStride);
  // x with the sign that the plane's bit of each row says.
  auto addGroup = [&](Value group, int64_t columns, ValueRange carried) {
    Value codes = arith::ExtUIOp::create(
        e, e.ints(),
        e.loadVector(input.planes, groupAt(e, input, set, group), kLanes,
                     kLanes));
    SmallVector<Value> sums(carried);
    for (int64_t b = 0; b < columns; ++b) {
      Value column = e.add(e.add(x, e.mul(group, perGroup)), b);
      for (int part = 0; part < 2; ++part) {
        Value bits = e.bitcast(
            e.ints(), e.splat(e.load(input.x, e.add(column, part * m))));
        for (int plane = 0; plane < 2; ++plane) {
          const int k = sumIndex(input.pack, plane, part);
          if (k < 0)
            continue;
          Value sign = arith::ShLIOp::create(
              e, codes, e.constant(e.ints(), 31 - b - 4 * plane));
          Value minus = arith::AndIOp::create(
              e, arith::XOrIOp::create(e, sign, e.constant(e.ints(), -1)),
              e.constant(e.ints(), int64_t(INT32_MIN)));
          Value term =
              e.bitcast(e.floats(), arith::XOrIOp::create(e, bits, minus));
          sums[k] = e.add(sums[k], term);
        }
      }
    }
    return sums;
  };
  Values sums(sumsPerSet(input.pack), e.constant(e.floats(), 0.0));
  Value begin = e.mul(span.index, kScaleTile / perGroup);
  Value end = e.add(begin, span.columns / perGroup);
  sums = e.forLoop(begin, end, 1, sums, [&](Value group, ValueRange carried) {
    return addGroup(group, perGroup, carried);
  });
  if (span.columns % perGroup)
    sums = addGroup(end, span.columns % perGroup, sums);
  if (input.pack.isReal)
    return {e.add(sums[0], sums[1])};
  Value half = e.constant(e.floats(), 0.5);
  auto axis = [&](int part, bool imaginary) -> Value {
    Value p = sums[part], q = sums[2 + part];
    return e.mul(imaginary ? e.sub(p, q) : e.add(p, q), half);
  };
  return {axis(0, false), axis(1, false), axis(0, true), axis(1, true)};
}

} // namespace fairy2
