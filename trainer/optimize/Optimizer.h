// SPDX-License-Identifier: Apache-2.0
//
// AdamW over this rank's slices of all parameters, in one fused call
// (Loshchilov and Hutter, arXiv 1711.05101). Matrices decay, norms and biases
// do not.
#pragma once

#include "trainer/kernels/DeviceKernels.h"
#include "trainer/optimize/ShardedWeights.h"
#include "trainer/run/Recipe.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace fairy2::trainer {

class AdamW {
public:
  AdamW(ShardedWeights &weights, const Recipe::Train &settings);

  /// The sum of the squared gradients of all slices.
  double squaredNorm() const;
  /// Multiplies all gradients.
  void scaleGradients(double factor);
  void step(double learningRate);

  /// The moments of a unit's part, flat, to save and to overwrite in place.
  struct Moments {
    at::Tensor means, squares;
  };
  const std::vector<Moments> &moments() const { return units; }
  int64_t stepsDone() const;
  void setStepsDone(int64_t steps);

private:
  double squaredNormOnDevice(const DeviceKernels &device) const;

  struct Group {
    double weightDecay;
    std::vector<at::Tensor> values, gradients, means, squares, steps;
  };
  const Recipe::Train settings;
  std::vector<Moments> units;
  at::Tensor count;                      ///< of the steps done: one float32
  std::vector<at::Tensor> unitGradients; ///< ShardedWeights::gradientParts()
  Group groups[2];
};

} // namespace fairy2::trainer
