// SPDX-License-Identifier: Apache-2.0
//
// Inputs, targets, padding and document masks of small batches, by hand.
#include "trainer/data/Batches.h"

#include "test/unit/trainer/TinyModels.h"
#include "trainer/TensorData.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

class BatchesTest : public testing::Test {
protected:
  BatchesTest() {
    writeTinyModel(folder / "model");
    config = HFConfig::read(folder / "model");
    data.sequenceLength = 6;
  }

  std::vector<int64_t> list(const at::Tensor &tensor) const {
    return {integersOf(tensor), integersOf(tensor) + tensor.numel()};
  }

  TemporaryFolder folder;
  HFConfig config;
  Recipe::Data data;
};

TEST_F(BatchesTest, InputsAreBosAndTheTargetsBefore) {
  const BatchMaker maker(config, data, {1, 2});
  const std::vector<int32_t> a = {5, 6, 7, 8, 9, 4}, b = {3, 4};
  const Batch batch = maker.make({a, b}, 6);
  EXPECT_EQ(list(batch.tokens),
            (std::vector<int64_t>{1, 5, 6, 7, 8, 9, 1, 3, 0, 0, 0, 0}));
  EXPECT_EQ(list(batch.targets),
            (std::vector<int64_t>{5, 6, 7, 8, 9, 4, 3, 4, kIgnored, kIgnored,
                                  kIgnored, kIgnored}));
  EXPECT_EQ(batch.predictions, 8);
}

TEST_F(BatchesTest, WithoutBosTheFirstTargetIsAnInput) {
  data.separator = "none";
  const BatchMaker maker(config, data, {});
  const std::vector<int32_t> a = {5, 6, 7};
  const Batch batch = maker.make({a}, 3);
  EXPECT_EQ(list(batch.tokens), (std::vector<int64_t>{5, 6, 7}));
  EXPECT_EQ(list(batch.targets), (std::vector<int64_t>{6, 7, kIgnored}));
  EXPECT_EQ(batch.predictions, 2);
}

/// Documents see only themselves, and their positions begin at 0.
TEST_F(BatchesTest, DocumentsAreApartWhenAsked) {
  const std::vector<int32_t> afterBos = {5, 1, 6, 7, 1, 8};
  const std::vector<int32_t> afterEos = {5, 2, 6, 7, 2, 8};
  const auto first = [&](bool mask, const char *separator,
                         const std::vector<int32_t> &row) {
    data.documentMask = mask;
    data.separator = separator;
    return BatchMaker(config, data, {1, 2}).make({row}, 6).plans.at(0).first;
  };
  EXPECT_EQ(first(false, "bos", afterBos), std::vector<int32_t>(6, 0));
  EXPECT_EQ(first(true, "bos", afterBos),
            (std::vector<int32_t>{0, 0, 2, 2, 2, 5}));
  EXPECT_EQ(first(true, "eos", afterEos),
            (std::vector<int32_t>{0, 0, 0, 3, 3, 3}));
  data.documentMask = true;
  data.separator = "bos";
  const Batch batch = BatchMaker(config, data, {1, 2}).make({afterBos}, 6);
  const int64_t expected[] = {0, 1, 0, 1, 2, 0};
  const AttentionPlan &plan = batch.planOf(config, 0);
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_FLOAT_EQ(
        floatsOf(plan.angles)[plan.places[size_t(i)] * config.headDim],
        float(std::cos(double(expected[i]))));
}

TEST_F(BatchesTest, ASlidingWindowLimitsAttention) {
  config.slidingWindow = 3;
  config.layerAttention[1].slides = true;
  const BatchMaker maker(config, data, {1, 2});
  const std::vector<int32_t> a = {5, 6, 7, 8, 9, 4};
  const Batch batch = maker.make({a, a}, 6);
  EXPECT_EQ(batch.planOf(config, 1).first,
            (std::vector<int32_t>{0, 0, 0, 1, 2, 3, //
                                  0, 0, 0, 1, 2, 3}));
  EXPECT_EQ(batch.planOf(config, 0).first, std::vector<int32_t>(12, 0));
}

/// Layers of one kind share a plan, across models; one that does not rotate has
/// angles of 0, and a teacher's own embedding its own angles.
TEST_F(BatchesTest, EachKindOfLayerHasAPlan) {
  config.layerAttention[1].rotates = false;
  HFConfig teacher = config;
  teacher.layerAttention[0].slides = true;
  teacher.slidingWindow = 2;
  teacher.rope.theta = 100;
  const BatchMaker maker(config, data, {1, 2}, at::kCPU, &teacher);
  const std::vector<int32_t> row = {5, 6, 7, 8, 9, 4};
  const Batch batch = maker.make({row}, 6);
  EXPECT_EQ(batch.plans.size(), 3u);
  EXPECT_EQ(&batch.planOf(config, 1), &batch.planOf(teacher, 1));
  const auto angle = [&](const HFConfig &model, int64_t layer) {
    // The second frequency's sine at place 3.
    const AttentionPlan &plan = batch.planOf(model, layer);
    return floatsOf(plan.angles)[3 * config.headDim + config.headDim / 2 + 1];
  };
  EXPECT_FLOAT_EQ(angle(config, 0), std::sin(3 * std::pow(10000.f, -0.25f)));
  EXPECT_FLOAT_EQ(angle(teacher, 0), std::sin(3 * std::pow(100.f, -0.25f)));
  EXPECT_EQ(angle(config, 1), 0);
  EXPECT_EQ(batch.planOf(teacher, 0).first,
            (std::vector<int32_t>{0, 0, 1, 2, 3, 4}));
  teacher.maxPositions = 4;
  EXPECT_EQ(
      errorOf([&] { BatchMaker(config, data, {1, 2}, at::kCPU, &teacher); }),
      "data.sequence_length: expected at most the teacher's 4 positions, "
      "found 6");
}

TEST_F(BatchesTest, SequencesMustFitTheModel) {
  data.sequenceLength = 65;
  EXPECT_EQ(errorOf([&] { BatchMaker(config, data, {1, 2}); }),
            "data.sequence_length: expected at most the model's 64 positions, "
            "found 65");
}

} // namespace
