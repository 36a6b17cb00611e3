// SPDX-License-Identifier: Apache-2.0
//
// The CUDA plugin on a real GPU: its nodes and quantizers beside the same
// bodies run serially on the CPU. Skipped, with the reason, where there is no
// GPU.
#include "test/unit/trainer/RotaryAngles.h"

#include "runtime/support/Error.h"
#include "test/unit/trainer/SerialKernels.h"
#include "trainer/Device.h"
#include "trainer/methods/Methods.h"
#include "trainer/ops/Ops.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <functional>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

class CudaTest : public testing::Test {
protected:
  void SetUp() override {
    try {
      device = openDevice("cuda", 0);
    } catch (const Error &error) {
      GTEST_SKIP() << error.what();
    }
    setDeviceKernels(at::kCPU, &kSerialKernels);
  }
  void TearDown() override { setDeviceKernels(at::kCPU, nullptr); }

  static at::Tensor random(at::IntArrayRef shape, int64_t seed) {
    at::manual_seed(uint64_t(seed));
    return at::randn(shape);
  }

  /// What a node gives, and the gradients of its inputs.
  using Node =
      std::function<at::Tensor(const std::vector<at::Tensor> &, at::Device)>;
  static std::vector<at::Tensor> results(const Node &node,
                                         const std::vector<at::Tensor> &inputs,
                                         at::Device on) {
    std::vector<at::Tensor> leaves;
    for (const at::Tensor &input : inputs)
      leaves.push_back(input.detach().to(on).requires_grad_(true));
    const at::Tensor y = node(leaves, on);
    std::vector<at::Tensor> all = torch::autograd::grad(
        {y}, leaves, {random(y.sizes(), 99).to(y.options())});
    all.push_back(y.detach());
    for (at::Tensor &tensor : all)
      tensor = tensor.cpu().to(at::kDouble);
    return all;
  }

  /// Node by node on both devices, `tolerance` relative to the largest value.
  void expectSame(const Node &node, const std::vector<at::Tensor> &inputs,
                  double tolerance) {
    const auto expected = results(node, inputs, at::kCPU),
               found = results(node, inputs, device);
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_LE((found[i] - expected[i]).abs().max().item<double>(),
                tolerance * expected[i].abs().max().item<double>())
          << "result " << i;
  }

  at::Device device = at::kCPU;
};

constexpr int64_t kTokens = 300;

TEST_F(CudaTest, NormsAreTheSerialOnes) {
  for (const int64_t n : {64, 576, 5000}) {
    const std::vector<at::Tensor> inputs = {
        random({kTokens, n}, 1), random({kTokens, n}, 2), random({n}, 3)};
    expectSame([](const std::vector<at::Tensor> &x,
                  at::Device) { return rmsNorm(x[0], x[2], 1e-5) + 0 * x[1]; },
               inputs, 1e-5);
    expectSame(
        [](const std::vector<at::Tensor> &x, at::Device) {
          const SumAndNorm both = addRmsNorm(x[0], x[1], x[2], 1e-5);
          return both.sum * 0.5 + both.normed;
        },
        inputs, 1e-5);
  }
}

/// A rounding to bfloat16, or one that falls on the other side of a tie.
constexpr double kRounding = 1.0 / 64;

TEST_F(CudaTest, NormsInBFloat16AreTheSerialOnes) {
  for (const int64_t n : {64, 576, 5000})
    for (const bool quantizes : {false, true}) {
      const ActivationForm form{quantizes, /*bf16=*/true};
      expectSame(
          [&](const std::vector<at::Tensor> &x, at::Device) {
            const SumAndNorm both = addRmsNorm(x[0], x[1], x[2], 1e-5, form);
            return both.sum * 0.5 + both.normed;
          },
          {random({kTokens, n}, 1), random({kTokens, n}, 2).to(at::kBFloat16),
           random({n}, 3)},
          kRounding);
      expectSame([&](const std::vector<at::Tensor> &x,
                     at::Device) { return rmsNorm(x[0], x[1], 1e-5, form); },
                 {random({kTokens, n}, 1).to(at::kBFloat16), random({n}, 3)},
                 kRounding);
    }
}

TEST_F(CudaTest, ProductsInBFloat16AreTheSerialOnes) {
  const at::Tensor weight = random({96, 64}, 2);
  expectSame(
      [&](const std::vector<at::Tensor> &x, at::Device) {
        return linearBFloat16(x[0], x[1], x[1].detach().to(at::kBFloat16));
      },
      {random({kTokens, 64}, 1).to(at::kBFloat16), weight}, kRounding);
}

TEST_F(CudaTest, GatesAndActivationsAreTheSerialOnes) {
  expectSame([](const std::vector<at::Tensor> &x,
                at::Device) { return swiGlu(x[0], x[1]); },
             {random({kTokens, 96}, 1), random({kTokens, 96}, 2)}, 1e-6);
  for (const int64_t n : {64, 576, 5000})
    expectSame([](const std::vector<at::Tensor> &x,
                  at::Device) { return fakeQuantizeActivations(x[0]); },
               {random({kTokens, n}, 1)}, 0);
  for (const int64_t n : {96, 97, 5000})
    for (const bool quantizes : {false, true})
      expectSame(
          [&](const std::vector<at::Tensor> &x, at::Device) {
            return fakeQuantizeActivations(swiGlu(x[0], x[1], quantizes));
          },
          {random({kTokens, n}, 1).to(at::kBFloat16),
           random({kTokens, n}, 2).to(at::kBFloat16)},
          kRounding);
}

/// Sequences of one document or of two, whose tokens see at most `window`.
AttentionPlan makePlan(int64_t sequences, int64_t positions, int64_t dim,
                       bool packed, int64_t window) {
  AttentionPlan plan;
  plan.sequences = sequences;
  plan.positions = positions;
  plan.window = window;
  for (int64_t i = 0; i < sequences * positions; ++i) {
    const int64_t at = i % positions, document = packed && at >= 40 ? 40 : 0;
    if (at == document)
      plan.starts.push_back(int32_t(i));
    plan.first.push_back(
        int32_t(window > 0 ? std::max(document, at - window + 1) : document));
    plan.places.push_back(int32_t(at - document));
  }
  plan.angles = rotaryAngles(positions, dim);
  plan.starts.push_back(int32_t(sequences * positions));
  return plan;
}

TEST_F(CudaTest, AttentionIsTheSerialOne) {
  constexpr int64_t dim = 64, heads = 4, kvHeads = 2, sequences = 3,
                    positions = 100, tokens = sequences * positions;
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const bool packed : {false, true})
      for (const int64_t window : {0, 23}) {
        AttentionPlan plan =
            makePlan(sequences, positions, dim, packed, window);
        expectSame(
            [&](const std::vector<at::Tensor> &x, at::Device on) {
              plan.moveTo(plan.angles.to(on));
              return rotaryAttention(x[0], x[1], x[2], dim, plan);
            },
            {random({tokens, heads * dim}, 1).to(type),
             random({tokens, kvHeads * dim}, 2).to(type),
             random({tokens, kvHeads * dim}, 3).to(type)},
            type == at::kFloat ? 1e-4 : 2 * kRounding);
      }
}

TEST_F(CudaTest, CrossEntropyIsTheSerialOne) {
  constexpr int64_t tokens = kDeviceLossChunkTokens + 77, features = 48,
                    vocab = 1000;
  at::Tensor targets = at::randint(0, vocab, {tokens}, at::kLong);
  targets[3] = kIgnored;
  const std::vector<at::Tensor> inputs = {random({tokens, features}, 1),
                                          random({vocab, features}, 2)};
  const at::Tensor hidden = random({tokens, features}, 3),
                   head = random({vocab, features}, 4);
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const bool taught : {false, true})
      expectSame(
          [&](const std::vector<at::Tensor> &x, at::Device on) {
            const Distillation teacher{hidden.to(on).to(type), head.to(on), 0.7,
                                       2};
            return linearCrossEntropy(x[0].to(type), x[1], targets.to(on),
                                      taught ? &teacher : nullptr);
          },
          inputs, type == at::kFloat ? 1e-4 : kRounding);
}

TEST_F(CudaTest, PhasesAreTheCompilersBitByBit) {
  for (const char *method :
       {"complex_phase_v1", "complex_phase_v2", "complex_phase_v3"})
    for (const ScaleOptions &options :
         {ScaleOptions{"tensor"}, {"row"}, {"tile"}, {"row", "binary"}}) {
      const auto quantizer = makeMethod(method, options);
      for (const auto &[rows, columns] :
           {std::pair<int64_t, int64_t>{2, 2}, {66, 64}, {576, 1536}}) {
        const at::Tensor a = random({rows, columns}, rows);
        setDeviceKernels(at::kCPU, nullptr);
        const at::Tensor expected = quantizedWeight(a, *quantizer, "a");
        EXPECT_TRUE(quantizedWeight(a.to(device), *quantizer, "a")
                        .cpu()
                        .equal(expected))
            << quantizer->compilerOptions() << " " << rows;
      }
    }
}

TEST_F(CudaTest, ABadValueIsNamed) {
  at::Tensor a = random({8, 6}, 1);
  a[5][4] = NAN;
  try {
    quantizedWeight(a.to(device), *makeMethod("complex_phase_v2", {"row"}),
                    "a");
    FAIL() << "expected an error";
  } catch (const Error &error) {
    EXPECT_STREQ(error.what(),
                 "a: expected finite values, found NaN at row 5, column 4");
  }
}

} // namespace
