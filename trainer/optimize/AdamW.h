// SPDX-License-Identifier: Apache-2.0
//
// AdamW over this rank's slices of all parameters, in one fused call
// (Loshchilov and Hutter, arXiv 1711.05101). Matrices decay, norms and biases
// do not.
#pragma once

#include "trainer/optimize/Optimizer.h"

namespace fairy2::trainer {

/// Flat tensors, one of each for a value's slice, that decay alike.
struct AdamWGroup {
  double weightDecay = 0;
  std::vector<at::Tensor> values, gradients, means, squares;
  std::vector<at::Tensor> steps; ///< one float32 each, this one counted

  void update(double learningRate, const Recipe::Train &settings) const;
};

class AdamW : public Optimizer {
public:
  AdamW(ShardedWeights &weights, const Recipe::Train &settings);

protected:
  void update(double learningRate) override;

private:
  const Recipe::Train settings;
  AdamWGroup groups[2];
};

} // namespace fairy2::trainer
