// SPDX-License-Identifier: Apache-2.0
//
// The differentiable operations of a training step that ATen lacks or does in
// many small steps. Each is one autograd node around trainer/kernels: the CPU's
// loops, or deviceKernels() where the tensors' device has them. Tensors are
// contiguous and float32, but on a device with kernels activations may be
// bfloat16; a matrix of activations is [tokens, features].
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace fairy2::trainer {

/// What becomes of activations before a matrix product.
struct ActivationForm {
  bool quantizes = false; ///< as by fakeQuantizeActivations()
  bool bf16 = false;      ///< on a device with kernels alone
};

/// x / sqrt(mean(x^2) + epsilon) * weight over the last dimension, whose length
/// is that of weight.
at::Tensor rmsNorm(const at::Tensor &x, const at::Tensor &weight,
                   double epsilon, ActivationForm form = {});

/// sum = x + delta, and rmsNorm(sum, weight, epsilon, form), which has the type
/// of delta.
struct SumAndNorm {
  at::Tensor sum, normed;
};
SumAndNorm addRmsNorm(const at::Tensor &x, const at::Tensor &delta,
                      const at::Tensor &weight, double epsilon,
                      ActivationForm form = {});

/// silu(gate) * up, of their type; quantized if asked.
at::Tensor swiGlu(const at::Tensor &gate, const at::Tensor &up,
                  bool quantizes = false);

/// x rounded^T in bfloat16, of x's type. `rounded` is `weight` as bfloat16; its
/// gradient is weight's, in float32.
at::Tensor linearBFloat16(const at::Tensor &x, const at::Tensor &weight,
                          const at::Tensor &rounded);

/// What is left of x after the compiled model's int8 activations: each row
/// rounded to 127 steps of max |x| / 127. The gradient passes unchanged.
at::Tensor fakeQuantizeActivations(const at::Tensor &x);

/// Which tokens see each other, and where they stand in their document.
struct AttentionPlan {
  int64_t sequences = 0;
  int64_t positions = 0; ///< per sequence
  /// Per token: the first place in its sequence that it attends to.
  std::vector<int32_t> first;
  /// Per token: its place in its document.
  std::vector<int32_t> places;
  /// Cosines and sines of the rotary angles at each place: float32 [places,
  /// turned features of a head], cosines in the first half. The other features
  /// stay.
  at::Tensor angles;

  /// First tokens of the documents, and the number of all tokens.
  std::vector<int32_t> starts;
  /// Tokens that one sees, itself among them; 0: its document's.
  int64_t window = 0;

  /// The same for a device that has deviceKernels().
  at::Tensor deviceAngles; ///< [tokens, headDim]
  at::Tensor deviceStarts; ///< int32
  int64_t longest = 0;     ///< document, in tokens

  /// Sets these, on the device of `angles`, which are the plan's there; a plan
  /// of no tokens has none.
  void moveTo(const at::Tensor &angles);
  /// Whether all tokens see their whole sequence before them.
  bool isPlain() const;
  /// Which tokens of their sequence they see, on the device: bool [sequences,
  /// 1, positions, positions]. Made when first asked for.
  const at::Tensor &mask() const;

private:
  mutable at::Tensor made;
};

/// What becomes of products of queries and keys before softmax.
struct ScoreForm {
  std::optional<double> scale = std::nullopt; ///< none: 1 / sqrt(headDim)
  /// c in c tanh(score / c); not on devices.
  std::optional<double> softCap = std::nullopt;
};

/// Rotates q [tokens, heads * headDim] and k [tokens, kvHeads * headDim] by the
/// plan's angles and attends causally to v (the shape of k). The plan must live
/// until backward has run.
at::Tensor rotaryAttention(const at::Tensor &q, const at::Tensor &k,
                           const at::Tensor &v, int64_t headDim,
                           const AttentionPlan &plan,
                           const ScoreForm &scores = {});

/// Tokens without a target.
constexpr int64_t kIgnored = -100;

/// Tokens whose logits, or gradients of logits, exist at one time: on the CPU,
/// and on devices with kernels.
constexpr int64_t kLossChunkTokens = 512, kDeviceLossChunkTokens = 4096;

struct Distillation {
  at::Tensor hidden; ///< the teacher's, [tokens, its features]
  at::Tensor head;   ///< the teacher's, [vocab, its features]
  double weight = 0; ///< of the distillation term; 1 - weight is the rest's
  double temperature = 1;
  std::optional<double> softCap = std::nullopt; ///< of its logits
};

/// The sum over tokens of cross-entropy(hidden head^T, targets), without ever
/// holding all logits, which are float32 whatever hidden is: head is float32
/// [vocab, features], targets int64 with kIgnored where nothing is asked. With
/// `teacher`, weight * T^2 * KL(teacher || student) at temperature T takes
/// part. crossEntropySum, when given, gets the plain cross-entropy's sum. With
/// `softCap` c, logits become c tanh(logit / c) first; not on devices.
at::Tensor linearCrossEntropy(const at::Tensor &hidden, const at::Tensor &head,
                              const at::Tensor &targets,
                              const Distillation *teacher = nullptr,
                              double *crossEntropySum = nullptr,
                              std::optional<double> softCap = std::nullopt);

} // namespace fairy2::trainer
