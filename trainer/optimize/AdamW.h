// SPDX-License-Identifier: Apache-2.0
//
// AdamW over this rank's slices of all parameters, in one fused call
// (Loshchilov and Hutter, arXiv 1711.05101). Matrices decay, norms and biases
// do not.
#pragma once

#include "trainer/optimize/Optimizer.h"

namespace fairy2::trainer {

class AdamW : public Optimizer {
public:
  AdamW(ShardedWeights &weights, const Recipe::Train &settings);

protected:
  void update(double learningRate) override;

private:
  struct Group {
    double weightDecay;
    std::vector<at::Tensor> values, gradients, means, squares, steps;
  };
  const Recipe::Train settings;
  Group groups[2];
};

} // namespace fairy2::trainer
