// SPDX-License-Identifier: Apache-2.0
//
// The search for the code of an entry.
#include "dialect/phase/BlockChoice.h"

#include <initializer_list>

namespace fairy2 {

/// The loss as a function of changes y of r0 .. r3: y (2 slope + form y).
struct BlockGrid::Choice {
  BlockLevels present;
  Lanes form[4][4], slope[4], over[4];

  Lanes slopeAt(int k, const BlockLevels &y) const {
    Lanes sum = slope[k];
    for (int l = 0; l < 4; ++l)
      sum += form[k][l] * y.r[l];
    return sum;
  }
  Lanes cost(const BlockLevels &y) const {
    Lanes sum = {};
    for (int k = 0; k < 4; ++k)
      sum += y.r[k] * (slope[k] + slopeAt(k, y));
    return sum;
  }
};

/// The best change of one of r0 .. r3 for those of the others.
void BlockGrid::settle(const Choice &choice, int k, BlockLevels &y) const {
  const Lanes wanted =
      choice.present.r[k] + y.r[k] - choice.slopeAt(k, y) * choice.over[k];
  y.r[k] = nearest(wanted) - choice.present.r[k];
}

Block BlockGrid::choose(const Block &present, const Block &slope,
                        const RowForm &row, const ColumnForm &column) const {
  Choice choice = {levelsOf(present), {}, {}, {}};
  const Block pull = slope.scaled(row.topStep, row.bottomStep);
  const Lanes top = row.top * row.topStep * row.topStep;
  const Lanes both = row.both * row.topStep * row.bottomStep;
  const Lanes bottom = row.bottom * row.bottomStep * row.bottomStep;
  for (int k = 0; k < 4; ++k) {
    for (int l = 0; l < 4; ++l)
      choice.form[k][l] = top * column.top[k][l] + both * column.both[k][l] +
                          bottom * column.bottom[k][l];
    choice.slope[k] = Lanes{};
    for (int part = 0; part < 4; ++part)
      choice.slope[k] += 0.5f * kSigns[k][part] * pull.a[part];
    choice.over[k] = inverse(choice.form[k][k]);
  }
  BlockLevels best = {}, settled = {};
  Lanes least = {};
  const auto consider = [&](const BlockLevels &y) {
    const Lanes cost = choice.cost(y);
    const LaneMask better = cost < least;
    least = better ? cost : least;
    for (int k = 0; k < 4; ++k)
      best.r[k] = better ? y.r[k] : best.r[k];
  };
  for (int step = 0; step < 8; ++step)
    settle(choice, step % 4, settled);
  consider(settled);
  for (int k = 0; k < 4; ++k)
    for (const float moved : {-1.f, 1.f}) {
      BlockLevels y = settled;
      y.r[k] =
          nearest(choice.present.r[k] + y.r[k] + moved) - choice.present.r[k];
      for (int l = 1; l < 4; ++l)
        settle(choice, (k + l) % 4, y);
      consider(y);
    }
  return blockOf(best);
}

} // namespace fairy2
