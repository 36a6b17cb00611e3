// SPDX-License-Identifier: Apache-2.0
//
// A few thousand tokens at a time, whose gradients exist together so that the
// head's gradient is seldom read and written; their logits, which are float32,
// exist for so few that they stay in a GPU's cache between product and loss.
#include "trainer/ops/CrossEntropyPass.h"

#include "trainer/TensorData.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <optional>

namespace fairy2::trainer {
namespace {

constexpr int64_t kLogitsTokens = 256;

/// a b in float32, which a GPU's product of two bfloat16 matrices is at once.
at::Tensor inFloat(const at::Tensor &a, const at::Tensor &b) {
  return a.is_cuda() && a.scalar_type() != at::kFloat
             ? at::mm(a, b, at::kFloat)
             : at::mm(a.to(at::kFloat), b.to(at::kFloat));
}

/// The head's products with hidden states, in the type of these.
class HeadProducts {
public:
  HeadProducts(const at::Tensor &head, at::ScalarType type)
      : head(head.to(type)) {}

  at::Tensor logits(const at::Tensor &hidden) const {
    return inFloat(hidden, head.t());
  }
  void backward(const at::Tensor &gradient, const at::Tensor &hidden,
                at::Tensor dHidden, at::Tensor dHead) const {
    at::mm_out(dHidden, gradient, head);
    dHead.add_(inFloat(gradient.t(), hidden));
  }

private:
  at::Tensor head;
};

} // namespace

void runOnDevice(const DeviceKernels &device, CrossEntropyPass &pass) {
  TORCH_INTERNAL_ASSERT(!pass.softCap &&
                            (!pass.distills() || !pass.teacher->softCap),
                        "refuseOnDevice() lets no such model through");
  const at::Tensor &hidden = pass.hidden;
  const int64_t tokens = hidden.size(0), vocab = pass.head.size(0);
  const HeadProducts products(pass.head, hidden.scalar_type());
  std::optional<HeadProducts> teacherProducts;
  if (pass.distills())
    teacherProducts.emplace(pass.teacher->head,
                            pass.teacher->hidden.scalar_type());
  const at::Tensor losses =
      at::zeros({2, tokens}, hidden.options().dtype(at::kDouble));
  auto *loss = mutableValuesOf<double>(losses);
  for (int64_t i = 0; i < tokens; i += kDeviceLossChunkTokens) {
    const int64_t count = std::min(kDeviceLossChunkTokens, tokens - i);
    const at::Tensor gradient = at::empty({count, vocab}, hidden.options());
    for (int64_t j = 0; j < count; j += kLogitsTokens) {
      const int64_t first = i + j, rows = std::min(kLogitsTokens, count - j);
      const at::Tensor logits = products.logits(hidden.narrow(0, first, rows));
      withActivations(hidden.scalar_type(), [&]<typename T>(T) {
        const int64_t *targets = integersOf(pass.targets) + first;
        T *to = mutableValuesOf<T>(gradient) + j * vocab;
        if (!teacherProducts) {
          device.start(CrossEntropyCall<T>{floatsOf(logits), targets, rows,
                                           vocab, kIgnored, to, loss + first});
          return;
        }
        const at::Tensor wanted = teacherProducts->logits(
            pass.teacher->hidden.narrow(0, first, rows));
        device.start(DistillCall<T>{
            floatsOf(logits), floatsOf(wanted), targets, rows, vocab, kIgnored,
            float(pass.teacher->weight), float(pass.teacher->temperature), to,
            loss + first, loss + tokens + first});
      });
    }
    if (pass.wantsGradient())
      products.backward(gradient, hidden.narrow(0, i, count),
                        pass.dHidden.narrow(0, i, count), pass.dHead);
  }
  const at::Tensor sums = losses.sum(1).cpu();
  pass.loss = valuesOf<double>(sums)[0];
  pass.plain = teacherProducts ? valuesOf<double>(sums)[1] : pass.loss;
}

} // namespace fairy2::trainer
