// SPDX-License-Identifier: Apache-2.0
//
// One pass of linearCrossEntropy() over all tokens, on the CPU or on a device.
#pragma once

#include "trainer/kernels/DeviceKernels.h"
#include "trainer/ops/Ops.h"

namespace fairy2::trainer {

struct CrossEntropyPass {
  at::Tensor hidden, head, targets;
  const Distillation *teacher = nullptr;
  /// What is asked for: dLoss/dHidden to be written, dLoss/dHead to be added
  /// to; undefined without.
  at::Tensor dHidden = {}, dHead = {};
  std::optional<double> softCap = {}; ///< of the logits
  /// Sums over tokens: of the loss, and of the plain cross-entropy.
  double loss = 0, plain = 0;

  bool wantsGradient() const { return dHidden.defined(); }
  bool distills() const { return teacher && teacher->weight > 0; }
};

/// The pass by a device's kernels.
void runOnDevice(const DeviceKernels &device, CrossEntropyPass &pass);

} // namespace fairy2::trainer
