// SPDX-License-Identifier: Apache-2.0
//
// The fused nodes against the same mathematics written with plain ATen
// operators and their own autograd: with the CPU's loops, and as on a GPU,
// whose kernels then run serially on the CPU.
#include "trainer/ops/Ops.h"
#include "test/unit/trainer/RotaryAngles.h"
#include "test/unit/trainer/SerialKernels.h"
#include "trainer/Device.h"
#include "trainer/Parallel.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

at::Tensor random(at::IntArrayRef shape, int64_t seed) {
  at::manual_seed(uint64_t(seed));
  at::Tensor x = at::randn(shape);
  x.requires_grad_(true);
  return x;
}

void expectClose(const at::Tensor &a, const at::Tensor &b, double tolerance) {
  ASSERT_EQ(a.sizes(), b.sizes());
  EXPECT_LE((a - b).abs().max().item<double>(), tolerance);
}

/// Gradients of sum(y * weights) with respect to `inputs`.
std::vector<at::Tensor> gradients(const at::Tensor &y,
                                  const std::vector<at::Tensor> &inputs) {
  at::manual_seed(99);
  const at::Tensor direction = at::randn(y.sizes());
  return torch::autograd::grad({y}, inputs, {direction});
}

/// Rotary attention with a dense mask, head by head.
at::Tensor plainAttention(const at::Tensor &q, const at::Tensor &k,
                          const at::Tensor &v, int64_t dim,
                          const AttentionPlan &plan,
                          const ScoreForm &form = {}) {
  const int64_t turned = plan.angles.size(1), half = turned / 2;
  const int64_t tokens = q.size(0), heads = q.size(1) / dim,
                kvHeads = k.size(1) / dim;
  const at::Tensor angles =
      plan.angles
          .index_select(0, at::tensor(at::ArrayRef<int32_t>(plan.places)))
          .unsqueeze(1);
  const at::Tensor cosines = angles.narrow(2, 0, half),
                   sines = angles.narrow(2, half, half);
  const auto rotated = [&](const at::Tensor &x, int64_t count) {
    const at::Tensor y = x.view({tokens, count, dim});
    const at::Tensor a = y.narrow(2, 0, half), b = y.narrow(2, half, half);
    return at::cat({a * cosines - b * sines, b * cosines + a * sines,
                    y.narrow(2, turned, dim - turned)},
                   2);
  };
  const auto split = [&](const at::Tensor &x, int64_t count) {
    return x.view({plan.sequences, plan.positions, count, dim})
        .transpose(1, 2)
        .repeat_interleave(heads / count, 1);
  };
  at::Tensor mask =
      at::full({plan.sequences, 1, plan.positions, plan.positions}, -1e30);
  for (int64_t s = 0; s < plan.sequences; ++s)
    for (int64_t i = 0; i < plan.positions; ++i)
      for (int64_t j = plan.first[size_t(s * plan.positions + i)]; j <= i; ++j)
        mask[s][0][i][j] = 0;
  at::Tensor scores =
      split(rotated(q, heads), heads)
          .matmul(split(rotated(k, kvHeads), kvHeads).transpose(2, 3)) *
      form.scale.value_or(1 / std::sqrt(double(dim)));
  if (form.softCap)
    scores = (scores / *form.softCap).tanh() * *form.softCap;
  return (scores + mask)
      .softmax(-1)
      .matmul(split(v, kvHeads))
      .transpose(1, 2)
      .reshape({tokens, heads * dim});
}

AttentionPlan makePlan(int64_t sequences, int64_t positions, int64_t dim) {
  AttentionPlan plan;
  plan.sequences = sequences;
  plan.positions = positions;
  for (int64_t s = 0; s < sequences; ++s)
    for (int64_t i = 0; i < positions; ++i) {
      // Sequence s holds a second document from position 5 + s on.
      const int64_t first = i < 5 + s ? 0 : 5 + s;
      plan.first.push_back(int32_t(first));
      plan.places.push_back(int32_t(i - first));
    }
  plan.angles = rotaryAngles(positions, dim);
  return plan;
}

/// With true, nodes work as on a GPU.
class OpsTest : public testing::TestWithParam<bool> {
protected:
  void SetUp() override {
    if (GetParam())
      setDeviceKernels(at::kCPU, &kSerialKernels);
  }
  void TearDown() override { setDeviceKernels(at::kCPU, nullptr); }
};

TEST_P(OpsTest, RotaryAttentionMatchesPlainAttention) {
  constexpr int64_t dim = 8, heads = 4, kvHeads = 2, sequences = 3;
  for (const bool packed : {true, false}) {
    AttentionPlan plan = makePlan(sequences, 21, dim);
    if (!packed)
      std::fill(plan.first.begin(), plan.first.end(), 0);
    plan.moveTo(plan.angles);
    EXPECT_EQ(plan.isPlain(), !packed);
    const int64_t tokens = sequences * plan.positions;
    const at::Tensor q = random({tokens, heads * dim}, 1),
                     k = random({tokens, kvHeads * dim}, 2),
                     v = random({tokens, kvHeads * dim}, 3);
    const at::Tensor fused = rotaryAttention(q, k, v, dim, plan),
                     plain = plainAttention(q, k, v, dim, plan);
    expectClose(fused, plain, 1e-5);
    const auto a = gradients(fused, {q, k, v}), b = gradients(plain, {q, k, v});
    for (size_t i = 0; i < a.size(); ++i)
      expectClose(a[i], b[i], 1e-4);
  }
}

/// A scale of its own; on the CPU also a cap and heads that turn in part.
TEST_P(OpsTest, ScoresMayBeScaledAndCapped) {
  constexpr int64_t dim = 8, heads = 4, kvHeads = 2, sequences = 2;
  for (const std::optional<double> cap : {std::optional<double>(), {1.5}}) {
    if (cap && GetParam())
      continue;
    AttentionPlan plan = makePlan(sequences, 21, dim);
    if (cap)
      plan.angles = rotaryAngles(21, 6);
    plan.moveTo(plan.angles);
    const ScoreForm form{0.7, cap};
    const int64_t tokens = sequences * plan.positions;
    const at::Tensor q = random({tokens, heads * dim}, 1),
                     k = random({tokens, kvHeads * dim}, 2),
                     v = random({tokens, kvHeads * dim}, 3);
    const at::Tensor fused = rotaryAttention(q, k, v, dim, plan, form),
                     plain = plainAttention(q, k, v, dim, plan, form);
    expectClose(fused, plain, 1e-5);
    const auto a = gradients(fused, {q, k, v}), b = gradients(plain, {q, k, v});
    for (size_t i = 0; i < a.size(); ++i)
      expectClose(a[i], b[i], 1e-4);
  }
}

TEST_P(OpsTest, ThreadsDoNotChangeAnyBit) {
  constexpr int64_t dim = 8;
  AttentionPlan plan = makePlan(4, 33, dim);
  plan.moveTo(plan.angles);
  const int64_t tokens = 4 * plan.positions;
  const at::Tensor q = random({tokens, 4 * dim}, 1),
                   k = random({tokens, 2 * dim}, 2),
                   v = random({tokens, 2 * dim}, 3), w = random({4 * dim}, 4);
  const auto all = [&] {
    const at::Tensor y = rmsNorm(rotaryAttention(q, k, v, dim, plan), w, 1e-5);
    std::vector<at::Tensor> results = gradients(y, {q, k, v, w});
    results.push_back(y);
    return results;
  };
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = all();
  at::set_num_threads(3);
  const auto three = all();
  at::set_num_threads(before);
  for (size_t i = 0; i < one.size(); ++i)
    EXPECT_TRUE(one[i].equal(three[i])) << i;
}

TEST_P(OpsTest, RmsNormMatchesPlainOperators) {
  const at::Tensor x = random({300, 24}, 1), w = random({24}, 2);
  const at::Tensor fused = rmsNorm(x, w, 1e-5);
  const at::Tensor plain = x * (x.square().mean({-1}, true) + 1e-5).rsqrt() * w;
  expectClose(fused, plain, 1e-5);
  const auto a = gradients(fused, {x, w}), b = gradients(plain, {x, w});
  expectClose(a[0], b[0], 1e-4);
  expectClose(a[1], b[1], 1e-3);
}

TEST_P(OpsTest, SumAndNormMatchPlainOperators) {
  const at::Tensor x = random({300, 24}, 1), delta = random({300, 24}, 2),
                   w = random({24}, 3);
  const auto [sum, normed] = addRmsNorm(x, delta, w, 1e-5);
  const at::Tensor plainSum = x + delta;
  const at::Tensor plain =
      plainSum * (plainSum.square().mean({-1}, true) + 1e-5).rsqrt() * w;
  EXPECT_TRUE(sum.equal(plainSum));
  expectClose(normed, plain, 1e-5);
  // Both results are used, one of them alone, or the other.
  const std::pair<at::Tensor, at::Tensor> uses[] = {
      {at::cat({sum, normed}), at::cat({plainSum, plain})},
      {sum * 1, plainSum * 1},
      {normed * 1, plain * 1}};
  for (const auto &[fused, expected] : uses) {
    const auto a = torch::autograd::grad(
        {fused}, {x, delta, w}, {at::ones_like(fused)}, true, false, true);
    const auto b =
        torch::autograd::grad({expected}, {x, delta, w},
                              {at::ones_like(expected)}, true, false, true);
    expectClose(a[0], b[0], 1e-4);
    expectClose(a[1], b[1], 1e-4);
    if (b[2].defined())
      expectClose(a[2], b[2], 1e-3);
  }
}

TEST_P(OpsTest, SwiGluMatchesPlainOperators) {
  const at::Tensor gate = random({70, 9}, 1), up = random({70, 9}, 2);
  const at::Tensor fused = swiGlu(gate, up), plain = at::silu(gate) * up;
  expectClose(fused, plain, 1e-5);
  const auto a = gradients(fused, {gate, up}), b = gradients(plain, {gate, up});
  expectClose(a[0], b[0], 1e-5);
  expectClose(a[1], b[1], 1e-5);
}

TEST_P(OpsTest, FakeQuantizationPassesTheGradient) {
  const at::Tensor x = random({5, 33}, 1);
  const at::Tensor y = fakeQuantizeActivations(x);
  EXPECT_GT((y - x).abs().max().item<float>(), 0);
  EXPECT_LT((y - x).abs().max().item<float>(), 4.f / 127);
  const at::Tensor direction = at::ones_like(y) * 3;
  EXPECT_TRUE(torch::autograd::grad({y}, {x}, {direction})[0].equal(direction));
}

/// More tokens than one chunk holds, some of them ignored.
TEST_P(OpsTest, LinearCrossEntropyMatchesPlainOperators) {
  const at::Tensor hidden = random({1100, 12}, 1), head = random({40, 12}, 2);
  at::manual_seed(3);
  at::Tensor targets = at::randint(0, 40, {1100}, at::kLong);
  targets.narrow(0, 500, 30).fill_(kIgnored);
  const at::Tensor fused = linearCrossEntropy(hidden, head, targets);
  const at::Tensor plain = at::cross_entropy_loss(
      hidden.matmul(head.t()), targets, {}, at::Reduction::Sum, kIgnored);
  EXPECT_NEAR(fused.item<double>(), plain.item<double>(), 1e-2);
  const auto a = torch::autograd::grad({fused * 0.5}, {hidden, head});
  const auto b = torch::autograd::grad({plain * 0.5}, {hidden, head});
  expectClose(a[0], b[0], 1e-5);
  expectClose(a[1], b[1], 1e-3);
}

/// As a model without sliding windows has it.
TEST(AttentionPlanTest, APlanOfNoTokensMoves) {
  AttentionPlan plan;
  plan.moveTo(at::zeros({4, 8}));
  EXPECT_FALSE(plan.deviceAngles.defined());
  EXPECT_FALSE(plan.deviceStarts.defined());
}

TEST_P(OpsTest, DistillationMatchesPlainOperators) {
  const at::Tensor hidden = random({30, 12}, 1), head = random({40, 12}, 2);
  const at::Tensor targets = at::full({30}, 7, at::kLong);
  Distillation teacher{random({30, 6}, 3).detach(), random({40, 6}, 4).detach(),
                       0.7, 2.0};
  double plainSum = 0;
  const at::Tensor fused =
      linearCrossEntropy(hidden, head, targets, &teacher, &plainSum);
  const at::Tensor logits = hidden.matmul(head.t());
  const at::Tensor entropy =
      at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum);
  const at::Tensor wanted =
      (teacher.hidden.matmul(teacher.head.t()) / 2).log_softmax(-1);
  const at::Tensor divergence =
      (wanted.exp() * (wanted - (logits / 2).log_softmax(-1))).sum();
  const at::Tensor plain = entropy * 0.3 + divergence * (0.7 * 4);
  EXPECT_NEAR(fused.item<double>(), plain.item<double>(), 1e-2);
  EXPECT_NEAR(plainSum, entropy.item<double>(), 1e-3);
  const auto a = torch::autograd::grad({fused}, {hidden, head});
  const auto b = torch::autograd::grad({plain}, {hidden, head});
  expectClose(a[0], b[0], 1e-4);
  expectClose(a[1], b[1], 1e-3);
}

/// Of the student's logits by 2, of the teacher's by 3.
TEST(SoftCapTest, CappedLossesMatchPlainOperators) {
  const at::Tensor hidden = random({30, 12}, 1), head = random({40, 12}, 2);
  const at::Tensor targets = at::full({30}, 7, at::kLong);
  Distillation teacher{random({30, 6}, 3).detach(), random({40, 6}, 4).detach(),
                       0.7, 2.0, 3.0};
  const at::Tensor logits = (hidden.matmul(head.t()) / 2).tanh() * 2;
  const at::Tensor entropy =
      at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum);
  const at::Tensor wanted =
      ((teacher.hidden.matmul(teacher.head.t()) / 3).tanh() * 3 / 2)
          .log_softmax(-1);
  const at::Tensor divergence =
      (wanted.exp() * (wanted - (logits / 2).log_softmax(-1))).sum();
  const Distillation *const teachers[] = {nullptr, &teacher};
  for (const Distillation *taught : teachers) {
    const at::Tensor plain =
        taught ? entropy * 0.3 + divergence * (0.7 * 4) : entropy;
    const at::Tensor fused =
        linearCrossEntropy(hidden, head, targets, taught, nullptr, 2.0);
    EXPECT_NEAR(fused.item<double>(), plain.item<double>(), 1e-3);
    const auto a = torch::autograd::grad({fused}, {hidden, head});
    const auto b = torch::autograd::grad({plain}, {hidden, head}, {},
                                         /*retain_graph=*/true);
    expectClose(a[0], b[0], 1e-4);
    expectClose(a[1], b[1], 1e-4);
  }
}

INSTANTIATE_TEST_SUITE_P(Loops, OpsTest, testing::Bool(), [](const auto &test) {
  return test.param ? "Device" : "Cpu";
});

} // namespace
