// SPDX-License-Identifier: Apache-2.0
//
// Scores against the same sums in long double.
#include "runtime/Likelihood.h"

#include "runtime/LogitPasses.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

using namespace fairy2;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

long double exactSum(const std::vector<float> &logits, float best) {
  long double sum = 0;
  for (const float logit : logits)
    sum += std::exp((long double)(logit) - (long double)(best));
  return sum;
}

std::vector<float> randomLogits(std::mt19937 &random, size_t size,
                                float deviation) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> logits(size);
  for (float &logit : logits)
    logit = normal(random);
  return logits;
}

TEST(LikelihoodTest, SumsAreThoseOfLongDouble) {
  std::mt19937 random(1);
  for (const size_t size : {1, 2, 31, 32, 33, 255, 256, 257, 49152})
    for (const float deviation : {0.0f, 0.1f, 3.0f, 40.0f, 400.0f}) {
      const auto logits = randomLogits(random, size, deviation);
      const float best = std::ranges::max(logits);
      const long double exact = exactSum(logits, best);
      EXPECT_LE(std::abs((long double)(sumOfExp(logits, best)) - exact),
                exact * 1e-14L)
          << size << " " << deviation;
    }
  // One value after the other, as far down as there is one.
  for (float x = 0; x > -699; x -= 0.37f) {
    const long double exact = std::exp((long double)(x));
    const std::vector<float> one = {x};
    EXPECT_LE(std::abs((long double)(sumOfExp(one, 0)) - exact), exact * 4e-16L)
        << x;
  }
}

/// The same on every machine, compiler and level: worked out once.
TEST(LikelihoodTest, BitsOfSumsAreFixed) {
  std::vector<float> logits;
  for (int i = 0; i < 1000; ++i)
    logits.push_back(float(i * i % 997) * -0.03125f);
  EXPECT_EQ(std::bit_cast<uint64_t>(sumOfExp(logits, 0)), 0x404222bda85d627e);
}

TEST(LikelihoodTest, ImpossibleTokensAddNothingAndBrokenOnesShow) {
  EXPECT_EQ(sumOfExp(std::vector<float>{-kInfinity, 3, -1e30f}, 3), 1);
  EXPECT_EQ(sumOfExp(std::vector<float>{-3e38f, 3e38f}, 3e38f), 1);
  for (const float broken : {NAN, kInfinity}) {
    std::vector<float> logits(40, 1.0f);
    logits[37] = broken;
    EXPECT_TRUE(std::isnan(negativeLogLikelihood(logits, 0)));
    logits.assign(1, broken);
    EXPECT_TRUE(std::isnan(negativeLogLikelihood(logits, 0)));
  }
}

TEST(LikelihoodTest, TheBestAreOrderedByLogitThenById) {
  std::mt19937 random(2);
  for (const size_t size : {1, 5, 19, 20, 21, 1000}) {
    std::vector<float> logits(size);
    for (float &logit : logits)
      logit = float(random() % 9) - 4; // many are equal
    std::vector<int32_t> order(size);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, {}, [&](int32_t id) {
      return std::pair(-logits[size_t(id)], id);
    });
    EXPECT_EQ(mostLikely(logits), order[0]);
    const long double sum = std::log(exactSum(logits, 0));
    const auto logprobOf = [&](int32_t id) {
      return float((long double)(logits[size_t(id)]) - sum);
    };
    const auto target = int32_t(size) - 1;
    const TokenScore score = scoreOf(logits, target, 20);
    EXPECT_FLOAT_EQ(score.token.logprob, logprobOf(target));
    EXPECT_EQ(score.token.id, target);
    ASSERT_EQ(score.best.size(), std::min<size_t>(size, 20));
    for (size_t i = 0; i < score.best.size(); ++i) {
      EXPECT_EQ(score.best[i].id, order[i]);
      EXPECT_FLOAT_EQ(score.best[i].logprob, logprobOf(order[i]));
    }
    EXPECT_FLOAT_EQ(float(-negativeLogLikelihood(logits, target)),
                    score.token.logprob);
  }
}

} // namespace
