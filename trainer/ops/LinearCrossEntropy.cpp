// SPDX-License-Identifier: Apache-2.0
//
// The head and its loss as one node that works on a few hundred tokens at a
// time and computes the gradients on the way forward, so that the logits of all
// tokens never exist together.
#include "trainer/Device.h"
#include "trainer/Parallel.h"
#include "trainer/TensorData.h"
#include "trainer/kernels/Kernels.h"
#include "trainer/ops/CrossEntropyPass.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <cmath>

namespace fairy2::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// Losses of one chunk, per token, and dLoss/dLogits in place of the logits.
class ChunkLoss {
public:
  ChunkLoss(at::Tensor logits, const int64_t *targets,
            std::optional<double> softCap, const Distillation *teacher,
            at::Tensor teacherLogits)
      : logits(std::move(logits)), targets(targets), teacher(teacher),
        teacherLogits(std::move(teacherLogits)), softCap(softCap),
        losses(size_t(this->logits.size(0))), plain(losses.size()) {
    parallelFor(this->logits.size(0), 16, [&](int64_t begin, int64_t end) {
      const size_t vocab = size_t(this->logits.size(1));
      std::vector<float> cooled(this->teacherLogits.defined() ? vocab : 0);
      std::vector<float> capped(softCap ? vocab : 0);
      for (int64_t i = begin; i < end; ++i)
        row(i, cooled, capped);
    });
  }

  at::Tensor logits;
  const int64_t *targets;
  const Distillation *teacher;
  at::Tensor teacherLogits;
  std::optional<double> softCap;
  std::vector<double> losses, plain;

private:
  static void cap(float *row, int64_t n, std::optional<double> softCap) {
    if (softCap)
      kernels().softCapRow(row, n, float(*softCap));
  }

  void row(int64_t i, std::vector<float> &cooled, std::vector<float> &capped) {
    const int64_t vocab = logits.size(1);
    float *p = logits.mutable_data_ptr<float>() + i * vocab;
    const int64_t target = targets[i];
    if (target == kIgnored) {
      std::fill(p, p + vocab, 0.f);
      return;
    }
    cap(p, vocab, softCap);
    std::copy(p, p + int64_t(capped.size()), capped.begin());
    const float wanted = p[target];
    if (teacherLogits.defined())
      std::copy(p, p + vocab, cooled.begin());
    plain[i] = double(kernels().softmaxRow(p, vocab, 1)) - wanted;
    p[target] -= 1;
    losses[i] = plain[i];
    if (teacherLogits.defined())
      distill(i, p, cooled);
    if (softCap)
      kernels().softCapRowBackward(capped.data(), vocab, float(*softCap), p);
  }

  /// Adds the teacher's part to row i: gradient weight * T * (student -
  /// teacher), both at temperature T.
  void distill(int64_t i, float *gradient, std::vector<float> &student) {
    const int64_t vocab = logits.size(1);
    const auto temperature = float(teacher->temperature);
    const auto weight = float(teacher->weight);
    float *t = teacherLogits.mutable_data_ptr<float>() + i * vocab;
    cap(t, vocab, teacher->softCap);
    kernels().softmaxRow(student.data(), vocab, temperature);
    kernels().softmaxRow(t, vocab, temperature);
    double divergence = 0;
    for (int64_t v = 0; v < vocab; ++v) {
      if (t[v] > 0)
        divergence +=
            double(t[v]) * (std::log(double(t[v])) -
                            std::log(std::max(double(student[v]), 1e-30)));
      gradient[v] = (1 - weight) * gradient[v] +
                    weight * temperature * (student[v] - t[v]);
    }
    losses[i] = (1 - teacher->weight) * losses[i] +
                teacher->weight * temperature * temperature * divergence;
  }
};

/// A pass by the CPU's loops.
void runOnCpu(CrossEntropyPass &pass) {
  const int64_t tokens = pass.hidden.size(0);
  for (int64_t i = 0; i < tokens; i += kLossChunkTokens) {
    const int64_t count = std::min(kLossChunkTokens, tokens - i);
    const at::Tensor part = pass.hidden.narrow(0, i, count);
    const ChunkLoss chunk(
        at::mm(part, pass.head.t()), integersOf(pass.targets) + i, pass.softCap,
        pass.teacher,
        pass.distills() ? at::mm(pass.teacher->hidden.narrow(0, i, count),
                                 pass.teacher->head.t())
                        : at::Tensor());
    for (size_t t = 0; t < chunk.losses.size(); ++t) {
      pass.loss += chunk.losses[t];
      pass.plain += chunk.plain[t];
    }
    if (!pass.wantsGradient())
      continue;
    at::Tensor to = pass.dHidden.narrow(0, i, count);
    at::mm_out(to, chunk.logits, pass.head);
    pass.dHead.addmm_(chunk.logits.t(), part);
  }
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &hidden,
                            const at::Tensor &head, const at::Tensor &targets,
                            int64_t teacherAddress, int64_t sumAddress,
                            std::optional<double> softCap, bool wantsGradient) {
    CrossEntropyPass pass{
        hidden, head, targets,
        reinterpret_cast<const Distillation *>(teacherAddress)};
    pass.softCap = softCap;
    if (wantsGradient) {
      pass.dHidden = at::empty_like(hidden);
      pass.dHead = at::zeros_like(head);
    }
    if (const DeviceKernels *device = deviceKernels(hidden))
      runOnDevice(*device, pass);
    else
      runOnCpu(pass);
    if (sumAddress)
      *reinterpret_cast<double *>(sumAddress) = pass.plain;
    if (wantsGradient)
      context->save_for_backward({pass.dHidden, pass.dHead});
    return at::scalar_tensor(pass.loss, hidden.options().dtype(at::kDouble));
  }

  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const double factor = gradients[0].item<double>();
    const auto scaled = [&](const at::Tensor &gradient) {
      return factor == 1 ? gradient : gradient.mul(factor);
    };
    return {scaled(saved[0]), scaled(saved[1]), at::Tensor(), at::Tensor(),
            at::Tensor(),     at::Tensor(),     at::Tensor()};
  }
};

} // namespace

at::Tensor linearCrossEntropy(const at::Tensor &hidden, const at::Tensor &head,
                              const at::Tensor &targets,
                              const Distillation *teacher,
                              double *crossEntropySum,
                              std::optional<double> softCap) {
  return LinearCrossEntropy::apply(
      hidden, head, targets, reinterpret_cast<int64_t>(teacher),
      reinterpret_cast<int64_t>(crossEntropySum), softCap,
      // Function::apply runs forward() without gradients whatever was asked.
      at::GradMode::is_enabled());
}

} // namespace fairy2::trainer
