// SPDX-License-Identifier: Apache-2.0
//
// Rotation by a kernel of ours; the attention itself by FlashAttention where
// documents allow it, and otherwise by ATen with a mask.
#include "trainer/ops/AttentionOnDevice.h"

#include "trainer/Device.h"
#include "trainer/TensorData.h"

#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

namespace fairy2::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// x [tokens, heads * dim] with each head rotated by the plan's angles.
struct Rotate : torch::autograd::Function<Rotate> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &x,
                            const at::Tensor &angles) {
    context->save_for_backward({angles});
    return turned(x, angles, 1);
  }
  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    const at::Tensor angles = context->get_saved_variables()[0];
    return {turned(gradients[0].contiguous(), angles, -1), at::Tensor()};
  }

private:
  static at::Tensor turned(const at::Tensor &x, const at::Tensor &angles,
                           float sign) {
    const at::Tensor y = at::empty_like(x);
    const int64_t dim = angles.size(1);
    withActivations(x.scalar_type(), [&]<typename T>(T) {
      deviceKernels(x)->start(RotateCall<T>{valuesOf<T>(x), floatsOf(angles),
                                            x.size(0), x.size(1) / dim, dim,
                                            sign, mutableValuesOf<T>(y)});
    });
    return y;
  }
};

/// Attention within documents by lengths in place of a mask: FlashAttention-2
/// (Dao, arXiv 2307.08691), for bfloat16 on GPUs.
bool isForFlash(const at::Tensor &q, int64_t dim) {
  return q.is_cuda() && q.scalar_type() == at::kBFloat16 && dim % 8 == 0 &&
         dim <= 256;
}
at::Tensor attentionInDocuments(const at::Tensor &q, const at::Tensor &k,
                                const at::Tensor &v, int64_t dim,
                                const AttentionPlan &plan,
                                std::optional<double> scale) {
  const auto split = [&](const at::Tensor &x) {
    return x.view({x.size(0), x.size(1) / dim, dim});
  };
  const auto left =
      plan.window > 0 ? std::optional(plan.window - 1) : std::nullopt;
  const at::Tensor out = std::get<0>(at::_flash_attention_forward(
      split(q), split(k), split(v), plan.deviceStarts, plan.deviceStarts,
      plan.longest, plan.longest, /*dropout_p=*/0, /*is_causal=*/true,
      /*return_debug_mask=*/false, scale, left,
      left ? std::optional<int64_t>(0) : std::nullopt));
  return out.reshape(q.sizes());
}

} // namespace

at::Tensor attentionOnDevice(const at::Tensor &q, const at::Tensor &k,
                             const at::Tensor &v, int64_t dim,
                             const AttentionPlan &plan,
                             const ScoreForm &scores) {
  TORCH_INTERNAL_ASSERT(!scores.softCap && plan.angles.size(1) == dim,
                        "refuseOnDevice() lets no such model through");
  const at::Tensor queries = Rotate::apply(q, plan.deviceAngles),
                   keys = Rotate::apply(k, plan.deviceAngles);
  if (!plan.isPlain() && isForFlash(q, dim))
    return attentionInDocuments(queries, keys, v, dim, plan, scores.scale);
  const auto split = [&](const at::Tensor &x) {
    return x.view({plan.sequences, plan.positions, x.size(1) / dim, dim})
        .transpose(1, 2);
  };
  const at::Tensor out = at::scaled_dot_product_attention(
      split(queries), split(keys), split(v),
      plan.isPlain() ? std::nullopt : std::optional(plan.mask()),
      /*dropout_p=*/0, /*is_causal=*/plan.isPlain(), scores.scale,
      /*enable_gqa=*/q.size(1) != k.size(1));
  return out.transpose(1, 2).reshape(q.sizes());
}

void AttentionPlan::moveTo(const at::Tensor &angles) {
  if (first.empty())
    return;
  const auto moved = [&](const std::vector<int32_t> &values) {
    return at::tensor(at::ArrayRef<int32_t>(values), at::kInt)
        .to(angles.device());
  };
  deviceAngles = angles.index_select(0, moved(places));
  deviceStarts = moved(starts);
  longest = 0;
  for (size_t i = 0; i + 1 < starts.size(); ++i)
    longest = std::max(longest, int64_t(starts[i + 1] - starts[i]));
  made.reset();
}

bool AttentionPlan::isPlain() const {
  return std::all_of(first.begin(), first.end(),
                     [](int32_t f) { return f == 0; });
}

const at::Tensor &AttentionPlan::mask() const {
  if (made.defined())
    return made;
  const at::Tensor from = at::tensor(at::ArrayRef<int32_t>(first), at::kInt)
                              .view({sequences, 1, positions, 1})
                              .to(deviceAngles.device());
  const at::Tensor place = at::arange(positions, from.options());
  return made = place.ge(from).logical_and_(place.le(place.unsqueeze(1)));
}

} // namespace fairy2::trainer
