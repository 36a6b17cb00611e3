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

#include <algorithm>

namespace fairy2::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr int64_t kGrain = int64_t(1) << 16;

int64_t rowLength(const at::Tensor &x) { return x.size(-1); }
int64_t rowCount(const at::Tensor &x) {
  return x.numel() == 0 ? 0 : x.numel() / rowLength(x);
}

struct SwiGlu : torch::autograd::Function<SwiGlu> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &gate,
                            const at::Tensor &up, bool quantizes) {
    const at::Tensor y = at::empty_like(gate);
    context->save_for_backward({gate, up});
    if (const DeviceKernels *device = deviceKernels(gate))
      withActivations(gate.scalar_type(), [&]<typename T>(T) {
        device->start(GatedCall<T>{valuesOf<T>(gate), valuesOf<T>(up),
                                   rowCount(gate), rowLength(gate), quantizes,
                                   mutableValuesOf<T>(y)});
      });
    else
      forwardOnCpu({floatsOf(gate), floatsOf(up), rowCount(gate),
                    rowLength(gate), quantizes, mutableValuesOf<float>(y)});
    return y;
  }

  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &gate = saved[0], &up = saved[1];
    const at::Tensor dy = gradients[0].contiguous();
    const at::Tensor dGate = at::empty_like(gate), dUp = at::empty_like(up);
    if (const DeviceKernels *device = deviceKernels(gate))
      withActivations(gate.scalar_type(), [&]<typename T>(T) {
        device->start(GatedBackwardCall<T>{
            valuesOf<T>(gate), valuesOf<T>(up), valuesOf<T>(dy), rowCount(gate),
            rowLength(gate), mutableValuesOf<T>(dGate),
            mutableValuesOf<T>(dUp)});
      });
    else
      parallelFor(gate.numel(), kGrain, [&](int64_t begin, int64_t end) {
        kernels().swiGluBackward(floatsOf(gate) + begin, floatsOf(up) + begin,
                                 floatsOf(dy) + begin, end - begin,
                                 mutableValuesOf<float>(dGate) + begin,
                                 mutableValuesOf<float>(dUp) + begin);
      });
    return {dGate, dUp, at::Tensor()};
  }

private:
  static void forwardOnCpu(const GatedCall<float> &c) {
    parallelFor(c.rows, std::max<int64_t>(1, kGrain / c.n),
                [&](int64_t begin, int64_t end) {
                  for (int64_t row = begin; row < end; ++row) {
                    const int64_t at = row * c.n;
                    kernels().swiGlu(c.gate + at, c.up + at, c.n, c.y + at);
                    if (c.quantizes)
                      kernels().fakeQuantizeRow(c.y + at, c.n, c.y + at);
                  }
                });
  }
};

} // namespace

at::Tensor swiGlu(const at::Tensor &gate, const at::Tensor &up,
                  bool quantizes) {
  return SwiGlu::apply(gate, up, quantizes);
}

} // namespace fairy2::trainer
