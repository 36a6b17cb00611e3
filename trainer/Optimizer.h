// SPDX-License-Identifier: Apache-2.0
//
// AdamW over all parameters in one fused call (Loshchilov and Hutter, arXiv
// 1711.05101). Matrices decay, norms and biases do not.
#pragma once

#include "trainer/Model.h"
#include "trainer/Recipe.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace fairy2 {

class AdamW {
public:
  AdamW(std::vector<Parameter> &parameters, const Recipe::Train &settings);

  /// The gradients' norm over all parameters; missing gradients count 0.
  double gradientNorm() const;
  /// Multiplies all gradients.
  void scaleGradients(double factor);
  void step(double learningRate);
  void clearGradients();

  /// Moments and step counts by name, to save and to overwrite in place.
  std::vector<std::pair<std::string, at::Tensor>> state();

private:
  struct Group {
    double weightDecay;
    std::vector<Parameter *> parameters;
    std::vector<at::Tensor> means, squares, steps;
  };
  const Recipe::Train settings;
  Group groups[2];
};

} // namespace fairy2
