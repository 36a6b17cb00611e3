// SPDX-License-Identifier: Apache-2.0
//
// Rows of target tokens as the tensors of a forward pass.
#pragma once

#include "frontend/HFConfig.h"
#include "trainer/data/Corpus.h"
#include "trainer/ops/Ops.h"

#include <ATen/core/Tensor.h>

#include <optional>

namespace fairy2::trainer {

struct Batch {
  at::Tensor tokens;       ///< int64 [sequences * positions]: inputs
  at::Tensor targets;      ///< int64, the same shape; kIgnored where padded
  int64_t predictions = 0; ///< targets that count
  AttentionPlan plan;      ///< of layers that see their whole document
  AttentionPlan sliding;   ///< of those with a window; empty without any
};

class BatchMaker {
public:
  BatchMaker(const HFConfig &config, const Recipe::Data &data,
             SpecialTokens special, at::Device device = at::kCPU);

  /// Each row of targets becomes a sequence of `positions` tokens whose inputs
  /// are BOS and the targets before; what is missing is padded. Without a BOS
  /// token the first target is the first input instead. What a pass reads lies
  /// on the device.
  Batch make(const std::vector<std::span<const int32_t>> &rows,
             int64_t positions) const;

private:
  bool startsDocument(const int64_t *tokens, int64_t position) const;
  AttentionPlan slidingPlan(AttentionPlan plan) const;

  SpecialTokens special;
  bool documentMask, separatesByBos, separatesByEos;
  std::optional<int64_t> window; ///< of the layers that have one
  int64_t headDim;
  at::Tensor angles;       ///< AttentionPlan's, for a sequence's places
  at::Tensor deviceAngles; ///< the same on the device
};

} // namespace fairy2::trainer
