// SPDX-License-Identifier: Apache-2.0
//
// The frame of optimizers, with a rule over whole matrices in it.
#include "trainer/optimize/Optimizer.h"

#include "test/unit/trainer/TinyModels.h"
#include "trainer/run/TrainingState.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/grad_mode.h>

#include <cmath>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

/// Steps along each matrix's gathered gradients over their norm, so a part of a
/// matrix is not enough, and along the other parameters' alone.
class NormalizedMomentum : public Optimizer {
public:
  explicit NormalizedMomentum(ShardedWeights &weights)
      : Optimizer(weights, {"momentum"}) {}

protected:
  void update(double learningRate) override {
    for (Piece &piece : pieces)
      piece.states[0].add_(piece.slice.gradient);
    std::vector<at::Tensor> whole;
    for (size_t unit = 0; unit < weights.ownParts().size(); ++unit)
      whole.push_back(weights.gathered(unit, state(unit, 0)));
    for (Piece &piece : pieces) {
      const Slice &slice = piece.slice;
      double divisor = 1;
      if (slice.isOfMatrix()) {
        const int64_t begin =
            weights.ownParts()[slice.unit].begin + slice.offset - slice.begin;
        divisor = whole[slice.unit]
                      .narrow(0, begin, slice.shape[0] * slice.shape[1])
                      .norm()
                      .item<double>();
      }
      slice.values.sub_(piece.states[0], learningRate / divisor);
    }
  }
};

class OptimizerTest : public testing::Test {
protected:
  OptimizerTest() { writeTinyModel(folder / "model"); }

  struct Parts {
    Model model;
    ShardedWeights weights;

    Parts(const std::filesystem::path &folder, Communicator &ranks,
          Sharding sharding)
        : model(HFConfig::read(folder)),
          weights(model, ranks, sharding, /*recompute=*/false,
                  Model::fromCheckpoint(model.config(), folder)) {}

    void setGradients(float value) {
      for (const at::Tensor &part : weights.gradientParts())
        part.fill_(value);
    }
    std::vector<at::Tensor> latents() {
      std::vector<at::Tensor> all;
      for (size_t i = 0; i < model.parameters().size(); ++i)
        all.push_back(weights.latent(i).clone());
      return all;
    }
  };

  TemporaryFolder folder;
  std::unique_ptr<Communicator> ranks = Communicator::alone();
};

/// Gradients are g everywhere, so the momentum of n steps is n g, a matrix of m
/// values moves by 1 / sqrt(m) and any other value by n g.
TEST_F(OptimizerTest, ARuleOverWholeMatricesStepsInEverySharding) {
  const at::NoGradGuard noGradients;
  constexpr float kGradient = 0.5, kRate = 0.125;
  for (const Sharding sharding :
       {Sharding::None, Sharding::Moments, Sharding::All}) {
    Parts parts(folder / "model", *ranks, sharding);
    NormalizedMomentum optimizer(parts.weights);
    const std::vector<at::Tensor> before = parts.latents();
    for (int step = 0; step < 2; ++step) {
      parts.setGradients(kGradient);
      optimizer.step(kRate);
      parts.weights.publish();
    }
    EXPECT_EQ(optimizer.stepsDone(), 2);
    const std::vector<at::Tensor> after = parts.latents();
    for (size_t i = 0; i < before.size(); ++i) {
      const Parameter &parameter = parts.model.parameters()[i];
      const double expected =
          parameter.shape.size() == 2
              ? 2 * kRate / std::sqrt(double(parameter.count()))
              : kRate * (1 + 2) * kGradient;
      EXPECT_NEAR(before[i].sub(after[i]).max().item<double>(), expected, 1e-6)
          << parameter.name;
      EXPECT_NEAR(before[i].sub(after[i]).min().item<double>(), expected, 1e-6)
          << parameter.name;
    }
  }
}

/// What another rule remembers is saved and loaded under its own names, and a
/// state without it is refused by name.
TEST_F(OptimizerTest, AStateHoldsWhatItsRuleRemembers) {
  const at::NoGradGuard noGradients;
  TrainingState state(folder / "out", *ranks, /*keepLast=*/2);
  state.prepare(/*everyRankWrites=*/false);
  Parts first(folder / "model", *ranks, Sharding::None);
  NormalizedMomentum saved(first.weights);
  first.setGradients(2);
  saved.step(0.1);
  const RunIdentity run{{}, "a", {}};
  state.save(first.weights, saved, {1, 0}, run);
  Parts second(folder / "model", *ranks, Sharding::All);
  NormalizedMomentum loaded(second.weights);
  ASSERT_TRUE(state.load(second.weights, loaded, run, 9).has_value());
  EXPECT_EQ(loaded.stepsDone(), 1);
  for (size_t i = 0; i < first.latents().size(); ++i)
    EXPECT_TRUE(first.latents()[i].equal(second.latents()[i]));
  EXPECT_EQ(loaded.state(1, 0).max().item<float>(), 2);
  const auto adamw = makeOptimizer(second.weights, {});
  EXPECT_NE(errorOf([&] {
              state.load(second.weights, *adamw, run, 9);
            }).find("unit-0.means@0"),
            std::string::npos);
}

TEST_F(OptimizerTest, TheTableSaysWhatIsRemembered) {
  EXPECT_EQ(optimizerNames(), std::vector<std::string>{"adamw"});
  EXPECT_EQ(optimizerKind("adamw").stateBytesPerValue(), 8);
  EXPECT_EQ(errorOf([] { optimizerKind("adam"); }),
            "train.optimizer: expected one of adamw, found 'adam'");
}

} // namespace
