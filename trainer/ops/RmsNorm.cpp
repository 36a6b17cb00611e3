// SPDX-License-Identifier: Apache-2.0
//
// RMS normalization as one node: the inverse norms are kept for backward.
#include "trainer/Device.h"
#include "trainer/Parallel.h"
#include "trainer/TensorData.h"
#include "trainer/kernels/Kernels.h"
#include "trainer/ops/Ops.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

namespace fairy2 {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// Weight gradients are summed in this many pieces, whatever the number of
/// threads, and the pieces in order: the result is always the same.
constexpr int64_t kPieces = 16;

/// y = rmsNorm(s), s = x + delta or, where there is no delta, x.
struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static tensor_list forward(AutogradContext *context, const at::Tensor &x,
                             const std::optional<at::Tensor> &delta,
                             const at::Tensor &weight, double epsilon) {
    const bool adds = delta.has_value();
    const at::Tensor sum = adds ? at::empty_like(x) : x;
    const at::Tensor y = at::empty_like(x);
    const at::Tensor inverses =
        at::empty({x.numel() / weight.numel()}, x.options());
    const NormCall call{floatsOf(x),
                        adds ? floatsOf(*delta) : nullptr,
                        floatsOf(weight),
                        inverses.numel(),
                        weight.numel(),
                        float(epsilon),
                        adds ? sum.mutable_data_ptr<float>() : nullptr,
                        y.mutable_data_ptr<float>(),
                        inverses.mutable_data_ptr<float>()};
    if (const DeviceKernels *device = deviceKernels(x))
      device->norm(call);
    else
      normOnCpu(call);
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
    const at::Tensor pieces = at::zeros(
        {device ? NormBackwardCall::kPieces : kPieces, weight.numel()},
        sum.options());
    const NormBackwardCall call{floatsOf(sum),
                                floatsOf(weight),
                                floatsOf(inverses),
                                floatsOf(dy),
                                adds ? floatsOf(dSum) : nullptr,
                                inverses.numel(),
                                weight.numel(),
                                dx.mutable_data_ptr<float>(),
                                pieces.mutable_data_ptr<float>()};
    if (device)
      device->normBackward(call);
    else
      normBackwardOnCpu(call);
    return {dx, adds ? dx : at::Tensor(), pieces.sum(0), at::Tensor()};
  }

private:
  static void normOnCpu(const NormCall &c) {
    parallelFor(c.rows, 256, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float *x = c.x + row * c.n;
        if (c.delta) {
          float *sum = c.sum + row * c.n;
          for (int64_t i = 0; i < c.n; ++i)
            sum[i] = x[i] + c.delta[row * c.n + i];
          x = sum;
        }
        c.inverses[row] =
            kernels().rmsNormRow(x, c.weight, c.n, c.epsilon, c.y + row * c.n);
      }
    });
  }

  static void normBackwardOnCpu(const NormBackwardCall &c) {
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
                   double epsilon) {
  return RmsNorm::apply(x, std::optional<at::Tensor>(), weight, epsilon)[0];
}

SumAndNorm addRmsNorm(const at::Tensor &x, const at::Tensor &delta,
                      const at::Tensor &weight, double epsilon) {
  const tensor_list both =
      RmsNorm::apply(x, std::optional(delta), weight, epsilon);
  return {both[1], both[0]};
}

} // namespace fairy2
