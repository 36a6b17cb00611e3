// SPDX-License-Identifier: Apache-2.0
//
// RMS normalization as one node: the inverse norms are kept for backward.
#include "trainer/Parallel.h"
#include "trainer/TensorData.h"
#include "trainer/kernels/Kernels.h"
#include "trainer/ops/Ops.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

namespace fairy2 {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// Weight gradients are summed in this many pieces, whatever the number of
/// threads, and the pieces in order: the result is always the same.
constexpr int64_t kPieces = 16;

struct RmsNorm : torch::autograd::Function<RmsNorm> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &x,
                            const at::Tensor &weight, double epsilon) {
    const int64_t n = weight.numel(), rows = x.numel() / n;
    at::Tensor y = at::empty_like(x);
    at::Tensor inverses = at::empty({rows}, x.options());
    const float *from = floatsOf(x);
    const float *w = floatsOf(weight);
    float *to = y.mutable_data_ptr<float>();
    float *inverse = inverses.mutable_data_ptr<float>();
    parallelFor(rows, 256, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        inverse[i] = kernels().rmsNormRow(from + i * n, w, n, float(epsilon),
                                          to + i * n);
    });
    context->save_for_backward({x, weight, inverses});
    return y;
  }

  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &inverses = saved[2];
    const at::Tensor dy = gradients[0].contiguous();
    const int64_t n = weight.numel(), rows = x.numel() / n;
    at::Tensor dx = at::empty_like(x);
    at::Tensor pieces = at::zeros({kPieces, n}, x.options());
    const float *from = floatsOf(x);
    const float *w = floatsOf(weight);
    const float *inverse = floatsOf(inverses);
    const float *up = floatsOf(dy);
    float *down = dx.mutable_data_ptr<float>();
    float *sums = pieces.mutable_data_ptr<float>();
    parallelFor(kPieces, 4, [&](int64_t begin, int64_t end) {
      for (int64_t piece = begin; piece < end; ++piece)
        for (int64_t i = rows * piece / kPieces;
             i < rows * (piece + 1) / kPieces; ++i)
          kernels().rmsNormRowBackward(from + i * n, w, n, inverse[i],
                                       up + i * n, down + i * n,
                                       sums + piece * n);
    });
    return {dx, pieces.sum(0), at::Tensor()};
  }
};

} // namespace

at::Tensor rmsNorm(const at::Tensor &x, const at::Tensor &weight,
                   double epsilon) {
  return RmsNorm::apply(x, weight, epsilon);
}

} // namespace fairy2
