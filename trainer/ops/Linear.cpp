// SPDX-License-Identifier: Apache-2.0
//
// A matrix product in bfloat16 whose weight has been rounded once for many
// passes, and whose weight's gradient GPUs do not round.
#include "trainer/ops/Ops.h"

#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

namespace fairy2::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

struct LinearBFloat16 : torch::autograd::Function<LinearBFloat16> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &x,
                            const at::Tensor &, const at::Tensor &rounded) {
    const at::Tensor input = x.to(at::kBFloat16);
    context->save_for_backward({input, rounded});
    return at::mm(input, rounded.t()).to(x.scalar_type());
  }

  /// a b, which GPUs sum and write in float32 at once.
  static at::Tensor inFloat(const at::Tensor &a, const at::Tensor &b) {
    return a.is_cuda() ? at::mm(a, b, at::kFloat) : at::mm(a, b).to(at::kFloat);
  }

  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &rounded = saved[1];
    const at::Tensor dy = gradients[0].to(at::kBFloat16);
    return {at::mm(dy, rounded).to(gradients[0].scalar_type()),
            inFloat(dy.t(), input), at::Tensor()};
  }
};

} // namespace

at::Tensor linearBFloat16(const at::Tensor &x, const at::Tensor &weight,
                          const at::Tensor &rounded) {
  return LinearBFloat16::apply(x, weight, rounded);
}

} // namespace fairy2::trainer
