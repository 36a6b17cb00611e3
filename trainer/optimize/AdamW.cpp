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
    AdamWGroup &group = groups[piece.slice.isOfMatrix() ? 0 : 1];
    group.values.push_back(piece.slice.values);
    group.gradients.push_back(piece.slice.gradient);
    group.means.push_back(piece.states[0]);
    group.squares.push_back(piece.states[1]);
    group.steps.push_back(count);
  }
}

void AdamWGroup::update(double learningRate,
                        const Recipe::Train &settings) const {
  if (!values.empty())
    at::_fused_adamw_(values, gradients, means, squares, {}, steps,
                      learningRate, settings.beta1, settings.beta2, weightDecay,
                      settings.epsilon, /*amsgrad=*/false, /*maximize=*/false);
}

void AdamW::update(double learningRate) {
  for (const AdamWGroup &group : groups)
    group.update(learningRate, settings);
}

} // namespace fairy2::trainer
