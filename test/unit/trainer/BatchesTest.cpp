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
    return BatchMaker(config, data, {1, 2}).make({row}, 6).plan.first;
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
  for (int64_t i = 0; i < 6; ++i)
    EXPECT_FLOAT_EQ(
        floatsOf(
            batch.plan.angles)[batch.plan.places[size_t(i)] * config.headDim],
        float(std::cos(double(expected[i]))));
}

TEST_F(BatchesTest, ASlidingWindowLimitsAttention) {
  config.slidingWindow = 3;
  const BatchMaker maker(config, data, {1, 2});
  const std::vector<int32_t> a = {5, 6, 7, 8, 9, 4};
  const Batch batch = maker.make({a, a}, 6);
  EXPECT_EQ(batch.sliding.first, (std::vector<int32_t>{0, 0, 0, 1, 2, 3, //
                                                       0, 0, 0, 1, 2, 3}));
  EXPECT_EQ(batch.plan.first, std::vector<int32_t>(12, 0));
}

TEST_F(BatchesTest, SequencesMustFitTheModel) {
  data.sequenceLength = 65;
  EXPECT_EQ(errorOf([&] { BatchMaker(config, data, {1, 2}); }),
            "data.sequence_length: expected at most the model's 64 positions, "
            "found 65");
}

} // namespace
