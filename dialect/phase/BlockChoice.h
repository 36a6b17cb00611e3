// SPDX-License-Identifier: Apache-2.0
//
// The code of one complex entry in a metric over its four reals, of kLanes
// entries at once. A part of PhaseCoder.cpp.
#pragma once

#include "dialect/phase/PhaseFormulas.h"

#include <cstdint>

namespace fairy2 {

constexpr int64_t kLanes = 4;
typedef float Lanes __attribute__((vector_size(16)));
typedef int32_t LaneMask __attribute__((vector_size(16)));

/// 1 over what is positive, and 0 of the rest.
inline Lanes inverse(Lanes x) {
  const LaneMask positive = x > 0;
  return positive ? 1 / (positive ? x : Lanes{} + 1) : Lanes{};
}

/// a11, a12, a21, a22 of a complex entry, or something else for each.
struct Block {
  Lanes a[4];

  Block scaled(Lanes top, Lanes bottom) const {
    return {a[0] * top, a[1] * top, a[2] * bottom, a[3] * bottom};
  }
  Block plus(const Block &b) const {
    return {a[0] + b.a[0], a[1] + b.a[1], a[2] + b.a[2], a[3] + b.a[3]};
  }
  Block minus(const Block &b) const {
    return {a[0] - b.a[0], a[1] - b.a[1], a[2] - b.a[2], a[3] - b.a[3]};
  }
};

/// r0 .. r3 of an entry (PhaseFormulas.h), over twice the unit.
struct BlockLevels {
  Lanes r[4];
};

/// An entry's part of G, and the steps of its rows: what an entry of A changes
/// by where one of A' over twice its unit changes by 1.
struct RowForm {
  Lanes top, both, bottom, topStep, bottomStep;
};

/// Of r0 .. r3, whose signs in a11, a12, a21, a22 these are (halved: B is
/// orthogonal).
inline constexpr float kSigns[4][4] = {
    {1, 1, -1, 1}, {1, -1, 1, 1}, {1, -1, -1, -1}, {1, 1, 1, -1}};

/// What a 2 x 2 metric (a b; b c) of two columns makes of pairs of r0 .. r3, by
/// the rows that they meet in.
struct ColumnForm {
  float top[4][4], both[4][4], bottom[4][4];

  ColumnForm(float a, float b, float c) {
    const auto product = [&](const float *x, const float *y) {
      return (x[0] * (a * y[0] + b * y[1]) + x[1] * (b * y[0] + c * y[1])) / 4;
    };
    for (int k = 0; k < 4; ++k)
      for (int l = 0; l < 4; ++l) {
        top[k][l] = product(kSigns[k], kSigns[l]);
        bottom[k][l] = product(kSigns[k] + 2, kSigns[l] + 2);
        both[k][l] = product(kSigns[k], kSigns[l] + 2) +
                     product(kSigns[k] + 2, kSigns[l]);
      }
  }
};

/// The points that T stages have.
class BlockGrid {
public:
  explicit BlockGrid(int stages)
      : half(float(1 << (stages - 1))), top(2 * half - 1) {}

  /// gridValue(gridLevel(x)).
  Lanes nearest(Lanes x) const {
    Lanes place = x + half;
    place = place > 0 ? place : Lanes{};
    place = place < top ? place : Lanes{} + top;
    return __builtin_convertvector(__builtin_convertvector(place, LaneMask),
                                   Lanes) -
           (half - 0.5f);
  }
  /// The nearest point of what is over its step.
  Block nearest(const Block &wanted) const {
    BlockLevels x = levelsOf(wanted);
    for (Lanes &r : x.r)
      r = nearest(r);
    return blockOf(x);
  }
  int levelAt(float r) const { return int(r + half); }

  BlockLevels levelsOf(const Block &b) const {
    BlockLevels x;
    for (int k = 0; k < 4; ++k) {
      x.r[k] = Lanes{};
      for (int part = 0; part < 4; ++part)
        x.r[k] += 0.5f * kSigns[k][part] * b.a[part];
    }
    return x;
  }
  Block blockOf(const BlockLevels &x) const {
    Block b;
    for (int part = 0; part < 4; ++part) {
      b.a[part] = Lanes{};
      for (int k = 0; k < 4; ++k)
        b.a[part] += 0.5f * kSigns[k][part] * x.r[k];
    }
    return b;
  }

  /// The change of an entry, over its steps, that lowers the loss most among
  /// those that are tried. Half of the loss's slope in the entry of A is
  /// `slope`; where nothing lowers it the change is 0. Each of r0 .. r3 in turn
  /// takes its best value for the others, twice; then each is moved by one to
  /// either side and the others follow.
  Block choose(const Block &present, const Block &slope, const RowForm &row,
               const ColumnForm &column) const;

private:
  struct Choice;
  void settle(const Choice &choice, int k, BlockLevels &y) const;

  float half, top;
};

} // namespace fairy2
