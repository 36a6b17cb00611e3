// SPDX-License-Identifier: Apache-2.0
//
// Rows of target tokens as the tensors of a forward pass.
#pragma once

#include "frontend/HFConfig.h"
#include "trainer/data/Corpus.h"
#include "trainer/ops/Ops.h"

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

namespace fairy2::trainer {

/// What decides a layer's plan of attention: those of one kind share it, be
/// they a student's or its teacher's.
struct AttentionKind {
  int64_t headDim = 0;
  std::optional<int64_t> window;  ///< of tokens that one sees
  std::optional<RopeConfig> rope; ///< none: places are not told

  static AttentionKind of(const HFConfig &config, int64_t layer);
  bool operator==(const AttentionKind &) const = default;
};

struct Batch {
  at::Tensor tokens;       ///< int64 [sequences * positions]: inputs
  at::Tensor targets;      ///< int64, the same shape; kIgnored where padded
  int64_t predictions = 0; ///< targets that count
  std::vector<AttentionKind> kinds;
  std::vector<AttentionPlan> plans; ///< one for each kind

  /// The plan of a layer of a model that the batch's maker was told of.
  const AttentionPlan &planOf(const HFConfig &config, int64_t layer) const;
};

class BatchMaker {
public:
  /// `teacher` is the config of a second model that reads the batches, or null.
  BatchMaker(const HFConfig &config, const Recipe::Data &data,
             SpecialTokens special, at::Device device = at::kCPU,
             const HFConfig *teacher = nullptr);

  /// Each row of targets becomes a sequence of `positions` tokens whose inputs
  /// are BOS and the targets before; what is missing is padded. Without a BOS
  /// token the first target is the first input instead. What a pass reads lies
  /// on the device.
  Batch make(const std::vector<std::span<const int32_t>> &rows,
             int64_t positions) const;

private:
  bool startsDocument(const int64_t *tokens, int64_t position) const;
  void addKinds(const HFConfig &config, int64_t places);

  SpecialTokens special;
  bool documentMask, separatesByBos, separatesByEos;
  at::Device device;
  // For each kind of layer:
  std::vector<AttentionKind> kinds;
  std::vector<at::Tensor> angles;       ///< AttentionPlan's, by place
  std::vector<at::Tensor> deviceAngles; ///< the same on a device with kernels
};

} // namespace fairy2::trainer
