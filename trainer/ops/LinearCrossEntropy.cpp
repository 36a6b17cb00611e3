// SPDX-License-Identifier: Apache-2.0
//
// The head and its loss as one node that works on a few hundred tokens at a
// time and computes the gradients on the way forward, so that the logits of all
// tokens never exist together.
#include "trainer/Device.h"
#include "trainer/Parallel.h"
#include "trainer/TensorData.h"
#include "trainer/kernels/Kernels.h"
#include "trainer/ops/Ops.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <cmath>

namespace fairy2 {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// Losses of one chunk, per token, and dLoss/dLogits in place of the logits.
class ChunkLoss {
public:
  ChunkLoss(at::Tensor logits, const int64_t *targets,
            const Distillation *teacher, int64_t firstToken)
      : logits(std::move(logits)), targets(targets), teacher(teacher),
        losses(size_t(this->logits.size(0))), plain(losses.size()) {
    if (teacher && teacher->weight > 0)
      teacherLogits =
          at::mm(teacher->hidden.narrow(0, firstToken, this->logits.size(0)),
                 teacher->head.t());
    parallelFor(this->logits.size(0), 16, [&](int64_t begin, int64_t end) {
      std::vector<float> cooled(
          teacherLogits.defined() ? size_t(this->logits.size(1)) : 0);
      for (int64_t i = begin; i < end; ++i)
        row(i, cooled);
    });
  }

  at::Tensor logits;
  const int64_t *targets;
  const Distillation *teacher;
  at::Tensor teacherLogits;
  std::vector<double> losses, plain;

private:
  void row(int64_t i, std::vector<float> &cooled) {
    const int64_t vocab = logits.size(1);
    float *p = logits.mutable_data_ptr<float>() + i * vocab;
    const int64_t target = targets[i];
    if (target == kIgnored) {
      std::fill(p, p + vocab, 0.f);
      return;
    }
    const float wanted = p[target];
    if (teacherLogits.defined())
      std::copy(p, p + vocab, cooled.begin());
    plain[i] = double(kernels().softmaxRow(p, vocab, 1)) - wanted;
    p[target] -= 1;
    losses[i] = plain[i];
    if (teacherLogits.defined())
      distill(i, p, cooled);
  }

  /// Adds the teacher's part to row i: gradient weight * T * (student -
  /// teacher), both at temperature T.
  void distill(int64_t i, float *gradient, std::vector<float> &student) {
    const int64_t vocab = logits.size(1);
    const auto temperature = float(teacher->temperature);
    const auto weight = float(teacher->weight);
    float *t = teacherLogits.mutable_data_ptr<float>() + i * vocab;
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

/// The same by a device's kernels: losses and plain losses as [2, tokens].
at::Tensor chunkLossOnDevice(const DeviceKernels &device,
                             const at::Tensor &logits, const at::Tensor &targets,
                             const Distillation *teacher, int64_t firstToken) {
  const int64_t rows = logits.size(0), vocab = logits.size(1);
  const at::Tensor losses =
      at::empty({2, rows}, logits.options().dtype(at::kDouble));
  auto *loss = losses.mutable_data_ptr<double>();
  auto *values = logits.mutable_data_ptr<float>();
  const int64_t *wanted = integersOf(targets) + firstToken;
  if (teacher && teacher->weight > 0) {
    const at::Tensor teacherLogits =
        at::mm(teacher->hidden.narrow(0, firstToken, rows), teacher->head.t());
    device.distill({values, floatsOf(teacherLogits), wanted, rows, vocab,
                    kIgnored, float(teacher->weight),
                    float(teacher->temperature), loss, loss + rows});
  } else {
    device.crossEntropy({values, wanted, rows, vocab, kIgnored, loss});
    losses[1].copy_(losses[0]);
  }
  return losses;
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &hidden,
                            const at::Tensor &head, const at::Tensor &targets,
                            int64_t teacherAddress, int64_t sumAddress,
                            bool wantsGradient) {
    const auto *teacher =
        reinterpret_cast<const Distillation *>(teacherAddress);
    const int64_t tokens = hidden.size(0);
    at::Tensor dHidden, dHead;
    if (wantsGradient) {
      dHidden = at::empty_like(hidden);
      dHead = at::zeros_like(head);
    }
    const DeviceKernels *device = deviceKernels(hidden);
    at::Tensor sums = at::zeros({2}, hidden.options().dtype(at::kDouble));
    double loss = 0, plain = 0;
    for (int64_t i = 0; i < tokens; i += kLossChunkTokens) {
      const int64_t count = std::min(kLossChunkTokens, tokens - i);
      const at::Tensor part = hidden.narrow(0, i, count);
      const at::Tensor logits = at::mm(part, head.t());
      if (device) {
        sums.add_(
            chunkLossOnDevice(*device, logits, targets, teacher, i).sum(1));
      } else {
        const ChunkLoss chunk(logits, integersOf(targets) + i, teacher, i);
        for (size_t t = 0; t < chunk.losses.size(); ++t) {
          loss += chunk.losses[t];
          plain += chunk.plain[t];
        }
      }
      if (wantsGradient) {
        at::Tensor to = dHidden.narrow(0, i, count);
        at::mm_out(to, logits, head);
        dHead.addmm_(logits.t(), part);
      }
    }
    if (device) {
      const at::Tensor told = sums.cpu();
      loss = told[0].item<double>();
      plain = told[1].item<double>();
    }
    if (sumAddress)
      *reinterpret_cast<double *>(sumAddress) = plain;
    if (wantsGradient)
      context->save_for_backward({dHidden, dHead});
    return at::scalar_tensor(loss, hidden.options().dtype(at::kDouble));
  }

  static tensor_list backward(AutogradContext *context, tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const double factor = gradients[0].item<double>();
    const auto scaled = [&](const at::Tensor &gradient) {
      return factor == 1 ? gradient : gradient.mul(factor);
    };
    return {scaled(saved[0]), scaled(saved[1]), at::Tensor(),
            at::Tensor(),     at::Tensor(),     at::Tensor()};
  }
};

} // namespace

at::Tensor linearCrossEntropy(const at::Tensor &hidden, const at::Tensor &head,
                              const at::Tensor &targets,
                              const Distillation *teacher,
                              double *crossEntropySum) {
  return LinearCrossEntropy::apply(
      hidden, head, targets, reinterpret_cast<int64_t>(teacher),
      reinterpret_cast<int64_t>(crossEntropySum),
      // Function::apply runs forward() without gradients whatever was asked.
      at::GradMode::is_enabled());
}

} // namespace fairy2
