// SPDX-License-Identifier: Apache-2.0
//
// rotaryAttention() on a device that has deviceKernels().
#pragma once

#include "trainer/ops/Ops.h"

namespace fairy2::trainer {

/// ATen's attention, which is fused on GPUs, between rotations of our own.
at::Tensor attentionOnDevice(const at::Tensor &q, const at::Tensor &k,
                             const at::Tensor &v, int64_t dim,
                             const AttentionPlan &plan,
                             const ScoreForm &scores);

} // namespace fairy2::trainer
