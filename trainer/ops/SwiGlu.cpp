// SPDX-License-Identifier: Apache-2.0
//
// The gated activation as one node; backward computes the sigmoid again.
#include "trainer/Device.h"
#include "trainer/Parallel.h"
#include "trainer/TensorData.h"
#include "trainer/kernels/Kernels.h"
#include "trainer/ops/Ops.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

namespace fairy2 {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr int64_t kGrain = int64_t(1) << 16;

struct SwiGlu : torch::autograd::Function<SwiGlu> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &gate,
                            const at::Tensor &up) {
    at::Tensor y = at::empty_like(gate);
    const float *g = floatsOf(gate);
    const float *u = floatsOf(up);
    float *to = y.mutable_data_ptr<float>();
    context->save_for_backward({gate, up});
    if (const DeviceKernels *device = deviceKernels(gate)) {
      device->gated({g, u, gate.numel(), to});
      return y;
    }
    parallelFor(gate.numel(), kGrain, [&](int64_t begin, int64_t end) {
      kernels().swiGlu(g + begin, u + begin, end - begin, to + begin);
    });
    return y;
  }

  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor dy = gradients[0].contiguous();
    at::Tensor dGate = at::empty_like(saved[0]);
    at::Tensor dUp = at::empty_like(saved[1]);
    const float *g = floatsOf(saved[0]);
    const float *u = floatsOf(saved[1]);
    const float *d = floatsOf(dy);
    float *dg = dGate.mutable_data_ptr<float>();
    float *du = dUp.mutable_data_ptr<float>();
    if (const DeviceKernels *device = deviceKernels(dy)) {
      device->gatedBackward({g, u, d, dy.numel(), dg, du});
      return {dGate, dUp};
    }
    parallelFor(dy.numel(), kGrain, [&](int64_t begin, int64_t end) {
      kernels().swiGluBackward(g + begin, u + begin, d + begin, end - begin,
                               dg + begin, du + begin);
    });
    return {dGate, dUp};
  }
};

} // namespace

at::Tensor swiGlu(const at::Tensor &gate, const at::Tensor &up) {
  return SwiGlu::apply(gate, up);
}

} // namespace fairy2
