// SPDX-License-Identifier: Apache-2.0
//
// AdamW: the slices sorted into those that decay and those that do not, and
// ATen's fused kernel over each.
#include "trainer/optimize/AdamW.h"

#include <ATen/ops/_fused_adamw.h>

namespace fairy2::trainer {

AdamW::AdamW(ShardedWeights &weights, const Recipe::Train &settings)
    : Optimizer(weights, optimizerKind("adamw").stateNames),
      settings(settings) {
  groups[0].weightDecay = settings.weightDecay;
  groups[1].weightDecay = 0;
  for (const Piece &piece : pieces) {
    Group &group = groups[piece.slice.isOfMatrix() ? 0 : 1];
    group.values.push_back(piece.slice.values);
    group.gradients.push_back(piece.slice.gradient);
    group.means.push_back(piece.states[0]);
    group.squares.push_back(piece.states[1]);
    group.steps.push_back(count);
  }
}

void AdamW::update(double learningRate) {
  for (Group &group : groups)
    if (!group.values.empty())
      at::_fused_adamw_(group.values, group.gradients, group.means,
                        group.squares, {}, group.steps, learningRate,
                        settings.beta1, settings.beta2, group.weightDecay,
                        settings.epsilon, /*amsgrad=*/false,
                        /*maximize=*/false);
}

} // namespace fairy2::trainer
