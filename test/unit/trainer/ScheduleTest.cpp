// SPDX-License-Identifier: Apache-2.0
//
// Learning rates and temperatures at the steps where they bend.
#include "trainer/optimize/Schedule.h"

#include <gtest/gtest.h>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

TEST(ScheduleTest, WarmsUpAndFollowsACosine) {
  Recipe::Train train;
  train.schedule = "cosine";
  train.warmup = 0.1;
  train.finalFactor = 0.2;
  EXPECT_DOUBLE_EQ(learningRateFactor(train, 0, 101), 0.1);
  EXPECT_DOUBLE_EQ(learningRateFactor(train, 9, 101), 1);
  EXPECT_DOUBLE_EQ(learningRateFactor(train, 10, 101), 1);
  EXPECT_NEAR(learningRateFactor(train, 55, 101), 0.6, 1e-12);
  EXPECT_NEAR(learningRateFactor(train, 100, 101), 0.2, 1e-12);
}

TEST(ScheduleTest, TemperaturesFallToZero) {
  Recipe::Train train;
  EXPECT_EQ(annealingTemperature(train, 0, 100), 0);
  train.anneal = 0.4;
  EXPECT_DOUBLE_EQ(annealingTemperature(train, 0, 100), 0.3);
  EXPECT_DOUBLE_EQ(annealingTemperature(train, 10, 100), 0.225);
  EXPECT_DOUBLE_EQ(annealingTemperature(train, 39, 100), 0.3 / 40);
  EXPECT_EQ(annealingTemperature(train, 40, 100), 0);
  EXPECT_EQ(annealingTemperature(train, 99, 100), 0);
  train.anneal = 1;
  EXPECT_GT(annealingTemperature(train, 99, 100), 0);
  EXPECT_EQ(annealingTemperature(train, 100, 100), 0); // the export's
}

TEST(ScheduleTest, WsdIsStableThenDecays) {
  Recipe::Train train;
  train.schedule = "wsd";
  train.warmup = 0.1;
  train.decay = 0.2;
  train.finalFactor = 0;
  for (int64_t step = 10; step <= 80; ++step)
    EXPECT_EQ(learningRateFactor(train, step, 100), 1) << step;
  for (int64_t step = 81; step < 100; ++step)
    EXPECT_LT(learningRateFactor(train, step, 100),
              learningRateFactor(train, step - 1, 100));
  EXPECT_NEAR(learningRateFactor(train, 99, 100), 0, 1e-12);
}

TEST(ScheduleTest, PiecesAreJoinedByLines) {
  Recipe::Train train;
  train.schedule = "piecewise";
  train.warmup = 0;
  train.pieces = {{0.25, 1}, {0.5, 0.2}, {1, 0.1}};
  EXPECT_DOUBLE_EQ(learningRateFactor(train, 0, 101), 1);
  EXPECT_DOUBLE_EQ(learningRateFactor(train, 25, 101), 1);
  EXPECT_NEAR(learningRateFactor(train, 40, 101), 0.52, 1e-12);
  EXPECT_NEAR(learningRateFactor(train, 75, 101), 0.15, 1e-12);
  EXPECT_NEAR(learningRateFactor(train, 100, 101), 0.1, 1e-12);
}

TEST(ScheduleTest, OneStepIsEnough) {
  Recipe::Train train;
  for (const char *name : {"cosine", "wsd"}) {
    train.schedule = name;
    EXPECT_GE(learningRateFactor(train, 0, 1), 0);
    EXPECT_LE(learningRateFactor(train, 0, 1), 1);
  }
}

} // namespace
