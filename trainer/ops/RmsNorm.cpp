// SPDX-License-Identifier: Apache-2.0
//
// RMS normalization as one node: the inverse norms are kept for backward.
#include "trainer/TensorData.h"

#include "trainer/Device.h"
#include "trainer/Parallel.h"
#include "trainer/kernels/Kernels.h"
#include "trainer/ops/Ops.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

namespace fairy2::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// Weight gradients are summed in this many pieces, whatever the number of
/// threads, and the pieces in order: the result is always the same.
constexpr int64_t kPieces = 16;

/// f(X(), Y()) with the types of a norm's input and output.
template <typename F>
void withTypes(const at::Tensor &x, const at::Tensor &y, const F &f) {
  if (x.scalar_type() == at::kBFloat16)
    f(BFloat16(), BFloat16());
  else
    withActivations(y.scalar_type(), [&](auto type) { f(float(), type); });
}

/// y = rmsNorm(s), s = x + delta or, where there is no delta, x.
struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static tensor_list forward(AutogradContext *context, const at::Tensor &x,
                             const std::optional<at::Tensor> &delta,
                             const at::Tensor &weight, double epsilon,
                             bool quantizes, bool bf16) {
    const bool adds = delta.has_value();
    const at::Tensor sum = adds ? at::empty_like(x) : x;
    const at::Tensor y =
        bf16 ? at::empty_like(x, at::kBFloat16) : at::empty_like(x);
    const at::Tensor inverses =
        at::empty({x.numel() / weight.numel()}, x.options().dtype(at::kFloat));
    withTypes(x, y, [&]<typename X, typename Y>(X, Y) {
      const NormCall<X, Y> call{valuesOf<X>(x),
                                adds ? valuesOf<Y>(*delta) : nullptr,
                                floatsOf(weight),
                                inverses.numel(),
                                weight.numel(),
                                float(epsilon),
                                quantizes,
                                adds ? mutableValuesOf<X>(sum) : nullptr,
                                mutableValuesOf<Y>(y),
                                mutableValuesOf<float>(inverses)};
      if (const DeviceKernels *device = deviceKernels(x))
        device->start(call);
      else
        normOnCpu(call);
    });
    context->save_for_backward({sum, weight, inverses});
    context->saved_data["adds"] = adds;
    if (!adds)
      return {y};
    return {y, sum};
  }

  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &sum = saved[0], &weight = saved[1], &inverses = saved[2];
    const bool adds = context->saved_data["adds"].toBool();
    const at::Tensor dy = gradients[0].contiguous();
    const at::Tensor dSum = adds ? gradients[1].contiguous() : at::Tensor();
    const DeviceKernels *device = deviceKernels(sum);
    const at::Tensor dx = at::empty_like(sum);
    // dx itself where the two are of one type.
    const at::Tensor dDelta = adds && dy.scalar_type() != dx.scalar_type()
                                  ? at::empty_like(dy)
                                  : at::Tensor();
    const at::Tensor pieces = at::zeros(
        {device ? kNormPieces : kPieces, weight.numel()}, weight.options());
    withTypes(sum, dy, [&]<typename X, typename Y>(X, Y) {
      const NormBackwardCall<X, Y> call{valuesOf<X>(sum),
                                        floatsOf(weight),
                                        floatsOf(inverses),
                                        valuesOf<Y>(dy),
                                        valuesOf<X>(dSum),
                                        inverses.numel(),
                                        weight.numel(),
                                        mutableValuesOf<X>(dx),
                                        mutableValuesOf<Y>(dDelta),
                                        mutableValuesOf<float>(pieces)};
      if (device)
        device->start(call);
      else
        normBackwardOnCpu(call);
    });
    return {dx,
            !adds              ? at::Tensor()
            : dDelta.defined() ? dDelta
                               : dx,
            pieces.sum(0),
            at::Tensor(),
            at::Tensor(),
            at::Tensor()};
  }

private:
  /// On the CPU everything is float.
  template <typename X, typename Y>
  static void normOnCpu(const NormCall<X, Y> &) {
    TORCH_INTERNAL_ASSERT(false, "bfloat16 without kernels");
  }
  template <typename X, typename Y>
  static void normBackwardOnCpu(const NormBackwardCall<X, Y> &) {
    TORCH_INTERNAL_ASSERT(false, "bfloat16 without kernels");
  }

  static void normOnCpu(const NormCall<float, float> &c) {
    parallelFor(c.rows, 256, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float *x = c.x + row * c.n;
        if (c.delta) {
          float *sum = c.sum + row * c.n;
          for (int64_t i = 0; i < c.n; ++i)
            sum[i] = x[i] + c.delta[row * c.n + i];
          x = sum;
        }
        float *y = c.y + row * c.n;
        c.inverses[row] = kernels().rmsNormRow(x, c.weight, c.n, c.epsilon, y);
        if (c.quantizes)
          kernels().fakeQuantizeRow(y, c.n, y);
      }
    });
  }

  static void normBackwardOnCpu(const NormBackwardCall<float, float> &c) {
    parallelFor(kPieces, 4, [&](int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece)
        for (int64_t row = c.rows * piece / kPieces;
             row < c.rows * (piece + 1) / kPieces; ++row) {
          const int64_t at = row * c.n;
          kernels().rmsNormRowBackward(c.x + at, c.weight, c.n, c.inverses[row],
                                       c.dy + at, c.dx + at,
                                       c.dWeightPieces + piece * c.n);
          if (c.dSum)
            for (int64_t i = at; i < at + c.n; ++i)
              c.dx[i] += c.dSum[i];
        }
    });
  }
};

} // namespace

at::Tensor rmsNorm(const at::Tensor &x, const at::Tensor &weight,
                   double epsilon, ActivationForm form) {
  return RmsNorm::apply(x, std::optional<at::Tensor>(), weight, epsilon,
                        form.quantizes, form.bf16)[0];
}

SumAndNorm addRmsNorm(const at::Tensor &x, const at::Tensor &delta,
                      const at::Tensor &weight, double epsilon,
                      ActivationForm form) {
  const tensor_list both = RmsNorm::apply(x, std::optional(delta), weight,
                                          epsilon, form.quantizes, form.bf16);
  return {both[1], both[0]};
}

} // namespace fairy2::trainer
