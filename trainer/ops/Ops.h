// SPDX-License-Identifier: Apache-2.0
//
// The differentiable operations of a training step that ATen lacks or does in
// many small steps. Each is one autograd node around trainer/kernels: the CPU's
// loops, or deviceKernels() where the tensors' device has them. Tensors are
// contiguous float32; a matrix of activations is [tokens, features].
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace fairy2 {

/// x / sqrt(mean(x^2) + epsilon) * weight over the last dimension, whose length
/// is that of weight.
at::Tensor rmsNorm(const at::Tensor &x, const at::Tensor &weight,
                   double epsilon);

/// sum = x + delta, and rmsNorm(sum, weight, epsilon).
struct SumAndNorm {
  at::Tensor sum, normed;
};
SumAndNorm addRmsNorm(const at::Tensor &x, const at::Tensor &delta,
                      const at::Tensor &weight, double epsilon);

/// silu(gate) * up.
at::Tensor swiGlu(const at::Tensor &gate, const at::Tensor &up);

/// What is left of x after the compiled model's int8 activations: each row
/// rounded to 127 steps of max |x| / 127. The gradient passes unchanged.
at::Tensor fakeQuantizeActivations(const at::Tensor &x);

/// Which tokens see each other, and where they stand in their document.
struct AttentionPlan {
  int64_t sequences = 0;
  int64_t positions = 0; ///< per sequence
  /// Per token: the first place in its sequence that it attends to.
  std::vector<int32_t> first;
  /// Cosines and sines of each token's rotary angles: [tokens, headDim], cos in
  /// the first half.
  std::vector<float> angles;

  /// The same for a device that has deviceKernels(): angles [tokens, headDim]
  /// and, unless all tokens see their whole sequence before them, which ones
  /// they see: bool [sequences, 1, positions, positions].
  at::Tensor deviceAngles, mask;

  /// Sets both tensors, on `device`; a plan of no tokens has neither.
  void moveTo(at::Device device);
};

/// Rotates q [tokens, heads * headDim] and k [tokens, kvHeads * headDim] by the
/// plan's angles and attends causally to v (the shape of k). The plan must live
/// until backward has run. With `bf16`, an accelerator attends in bfloat16.
at::Tensor rotaryAttention(const at::Tensor &q, const at::Tensor &k,
                           const at::Tensor &v, int64_t headDim,
                           const AttentionPlan &plan, bool bf16 = false);

/// Tokens without a target.
constexpr int64_t kIgnored = -100;

/// Tokens whose logits exist at one time.
constexpr int64_t kLossChunkTokens = 512;

struct Distillation {
  at::Tensor hidden; ///< the teacher's, [tokens, its features]
  at::Tensor head;   ///< the teacher's, [vocab, its features]
  double weight = 0; ///< of the distillation term; 1 - weight is the rest's
  double temperature = 1;
};

/// The sum over tokens of cross-entropy(hidden head^T, targets), without ever
/// holding all logits: head is [vocab, features], targets int64 with kIgnored
/// where nothing is asked. With `teacher`, weight * T^2 * KL(teacher ||
/// student) at temperature T takes part. crossEntropySum, when given, gets the
/// plain cross-entropy's sum.
at::Tensor linearCrossEntropy(const at::Tensor &hidden, const at::Tensor &head,
                              const at::Tensor &targets,
                              const Distillation *teacher = nullptr,
                              double *crossEntropySum = nullptr);

} // namespace fairy2
