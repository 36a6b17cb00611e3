// SPDX-License-Identifier: Apache-2.0
//
// Int8 activations as training sees them, with an identity backward.
#include "trainer/Device.h"
#include "trainer/Parallel.h"
#include "trainer/TensorData.h"
#include "trainer/kernels/Kernels.h"
#include "trainer/ops/Ops.h"

#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

namespace fairy2::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

struct FakeQuantize : torch::autograd::Function<FakeQuantize> {
  static at::Tensor forward(AutogradContext *, const at::Tensor &x) {
    const int64_t n = x.size(-1), rows = x.numel() / n;
    const at::Tensor y = at::empty_like(x);
    if (const DeviceKernels *device = deviceKernels(x)) {
      withActivations(x.scalar_type(), [&]<typename T>(T) {
        device->start(FakeQuantizeCall<T>{valuesOf<T>(x), rows, n,
                                          mutableValuesOf<T>(y)});
      });
      return y;
    }
    const float *from = floatsOf(x);
    float *to = mutableValuesOf<float>(y);
    parallelFor(rows, 256, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        kernels().fakeQuantizeRow(from + i * n, n, to + i * n);
    });
    return y;
  }

  static tensor_list backward(AutogradContext *, tensor_list gradients) {
    return gradients;
  }
};

} // namespace

at::Tensor fakeQuantizeActivations(const at::Tensor &x) {
  return FakeQuantize::apply(x);
}

} // namespace fairy2::trainer
