// SPDX-License-Identifier: Apache-2.0
//
// The sampler against the distributions that its options define.
#include "runtime/Sampler.h"

#include "runtime/LogitPasses.h"
#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>

using namespace fairy2;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<double> softmax(const std::vector<float> &logits, double heat) {
  std::vector<double> p;
  for (const float logit : logits)
    p.push_back(std::exp(double(logit) / heat));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double &value : p)
    value /= sum;
  return p;
}

/// Frequencies of 40000 draws must match `expected`: chi-squared below its mean
/// plus five standard deviations, and nothing impossible drawn.
void expectDistribution(const Sampling &sampling,
                        const std::vector<float> &logits,
                        const std::vector<double> &expected,
                        const std::vector<int32_t> &history = {}) {
  constexpr int draws = 40000;
  std::vector<int> counts(logits.size());
  for (int step = 0; step < draws; ++step)
    ++counts[size_t(sampleToken(sampling, logits, history, uint64_t(step)))];
  double chi = 0;
  int degrees = -1;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (expected[id] == 0) {
      EXPECT_EQ(counts[id], 0) << "id " << id;
      continue;
    }
    const double mean = draws * expected[id];
    chi += (counts[id] - mean) * (counts[id] - mean) / mean;
    ++degrees;
  }
  EXPECT_LT(chi, degrees + 5 * std::sqrt(2.0 * degrees) + 1e-9);
}

const std::vector<float> kLogits = {1, 3, 2, -1, 2.5f, 0};

TEST(SamplerTest, GreedyTakesTheLowestIdOfTheBest) {
  EXPECT_EQ(sampleToken({}, kLogits, {}, 0), 1);
  EXPECT_EQ(sampleToken({}, std::vector<float>{1, 5, 5, 5}, {}, 9), 1);
  EXPECT_EQ(sampleToken({}, std::vector<float>{-0.f, 0.f}, {}, 0), 0);
  EXPECT_EQ(sampleToken({}, std::vector<float>{-kInfinity, -3}, {}, 0), 1);
}

TEST(SamplerTest, TemperatureIsASoftmax) {
  for (const float heat : {0.5f, 1.f, 2.f}) {
    Sampling sampling;
    sampling.temperature = heat;
    expectDistribution(sampling, kLogits, softmax(kLogits, heat));
  }
}

TEST(SamplerTest, TopKKeepsTheLikeliest) {
  Sampling sampling;
  sampling.temperature = 1;
  sampling.topK = 3;
  std::vector<float> kept = kLogits;
  kept[0] = kept[3] = kept[5] = -kInfinity;
  expectDistribution(sampling, kLogits, softmax(kept, 1));
  sampling.topK = 1;
  for (uint64_t step = 0; step < 100; ++step)
    EXPECT_EQ(sampleToken(sampling, kLogits, {}, step), 1);
  sampling.topK = 1000; // more than there are
  expectDistribution(sampling, kLogits, softmax(kLogits, 1));
}

TEST(SamplerTest, TopKCutsTiesByTheLowerId) {
  Sampling sampling;
  sampling.temperature = 1;
  sampling.topK = 2;
  expectDistribution(sampling, {1, 1, 1, 1}, {0.5, 0.5, 0, 0});
}

TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  // Probabilities 0.5, 0.25, 0.125, 0.125 in another order.
  const std::vector<float> logits = {std::log(0.125f), std::log(0.5f),
                                     std::log(0.125f), std::log(0.25f)};
  Sampling sampling;
  sampling.temperature = 1;
  sampling.topP = 0.4f;
  expectDistribution(sampling, logits, {0, 1, 0, 0});
  sampling.topP = 0.7f;
  expectDistribution(sampling, logits, {0, 2 / 3.0, 0, 1 / 3.0});
  sampling.topP = 0.8f; // of the two equal ones the lower id is kept
  expectDistribution(sampling, logits, {1 / 7.0, 4 / 7.0, 0, 2 / 7.0});
  sampling.topP = 1;
  expectDistribution(sampling, logits, {0.125, 0.5, 0.125, 0.25});
}

TEST(SamplerTest, MinPIsRelativeToTheBest) {
  Sampling sampling;
  sampling.temperature = 1;
  sampling.minP = 0.3f;
  std::vector<float> kept = kLogits; // exp(-1) = 0.37 stays, exp(-2) does not
  kept[0] = kept[3] = kept[5] = -kInfinity;
  expectDistribution(sampling, kLogits, softmax(kept, 1));
  sampling.minP = 1;
  EXPECT_EQ(sampleToken(sampling, kLogits, {}, 3), 1);
}

TEST(SamplerTest, CutsFollowEachOther) {
  Sampling sampling;
  sampling.temperature = 1;
  sampling.topK = 4;    // 1, 4, 2, 0
  sampling.topP = 0.9f; // of the four: 1, 4, 2
  sampling.minP = 0.5f; // exp(-0.5) = 0.61: 1 and 4
  std::vector<float> kept(6, -kInfinity);
  kept[1] = 3;
  kept[4] = 2.5f;
  expectDistribution(sampling, kLogits, softmax(kept, 1));
}

TEST(SamplerTest, RepetitionPenaltyCountsEachTokenOnce) {
  Sampling sampling;
  sampling.temperature = 1;
  sampling.repetitionPenalty = 2;
  std::vector<float> penalized = kLogits;
  penalized[1] = 1.5f;
  penalized[3] = -2;
  expectDistribution(sampling, kLogits, softmax(penalized, 1), {1, 3, 1, 1});
  sampling.temperature = 0;
  const std::vector<int32_t> history = {1};
  EXPECT_EQ(sampleToken(sampling, kLogits, history, 0), 4);
}

TEST(SamplerTest, CountsOfGeneratedTokensArePenalized) {
  Sampling sampling;
  sampling.temperature = 1;
  sampling.presencePenalty = 0.5f;
  sampling.frequencyPenalty = 0.25f;
  // Of the history the last three were generated: the 3 before is prompt.
  const std::vector<int32_t> history = {3, 3, 4, 1, 4};
  std::vector<float> penalized = kLogits;
  penalized[1] -= 0.75f;
  penalized[4] -= 1;
  const std::vector<double> expected = softmax(penalized, 1);
  std::vector<double> found(kLogits.size());
  constexpr int kDraws = 200000;
  for (int seed = 0; seed < kDraws; ++seed) {
    sampling.seed = uint64_t(seed);
    found[size_t(sampleToken(sampling, kLogits, history, 3))] += 1.0 / kDraws;
  }
  for (size_t id = 0; id < found.size(); ++id)
    EXPECT_NEAR(found[id], expected[id], 0.006) << id;
  // A negative penalty is a bonus.
  sampling.temperature = 0;
  sampling.presencePenalty = 0;
  sampling.frequencyPenalty = -1;
  EXPECT_EQ(sampleToken(sampling, kLogits, {{4, 4}}, 2), 4);
  EXPECT_EQ(sampleToken(sampling, kLogits, {{4, 4}}, 0), 1);
}

TEST(SamplerTest, BiasIsAddedLast) {
  Sampling sampling;
  sampling.logitBias = {{1, -100}, {4, 2}, {4, 0}, {0, 0.5f}};
  sampling.temperature = 1;
  std::vector<float> biased = kLogits;
  biased[1] -= 100;
  biased[0] += 0.5f;
  expectDistribution(sampling, kLogits, softmax(biased, 1));
  sampling.temperature = 0;
  sampling.repetitionPenalty = 100;
  sampling.logitBias = {{2, 100}};
  EXPECT_EQ(sampleToken(sampling, kLogits, {{2}}, 0), 2);
  // What cannot be chosen stays so.
  EXPECT_EQ(sampleToken(sampling, std::vector<float>{0, 1, -kInfinity}, {}, 0),
            1);
}

TEST(SamplerTest, ExtremeValuesStayDefined) {
  Sampling sampling;
  sampling.temperature = 1e-38f;
  EXPECT_EQ(sampleToken(sampling, kLogits, {}, 0), 1);
  sampling.temperature = 1e38f;
  expectDistribution(sampling, {3e38f, -3e38f, -kInfinity},
                     softmax({3e0f, -3e0f, -kInfinity}, 1));
  sampling.temperature = 1;
  sampling.repetitionPenalty = 1e-30f;
  const std::vector<int32_t> history = {0};
  EXPECT_EQ(sampleToken(sampling, kLogits, history, 0), 0);
  EXPECT_EQ(
      sampleToken(sampling, std::vector<float>{-kInfinity, 1}, history, 0), 1);
}

TEST(SamplerTest, DrawDependsOnSeedAndStepAlone) {
  Sampling sampling;
  sampling.temperature = 1.5f;
  sampling.seed = 42;
  std::vector<int32_t> first, again, other;
  for (uint64_t step = 0; step < 200; ++step)
    first.push_back(sampleToken(sampling, kLogits, {}, step));
  for (uint64_t step = 200; step-- > 0;)
    again.insert(again.begin(), sampleToken(sampling, kLogits, {}, step));
  EXPECT_EQ(first, again);
  sampling.seed = 43;
  for (uint64_t step = 0; step < 200; ++step)
    other.push_back(sampleToken(sampling, kLogits, {}, step));
  EXPECT_NE(first, other);
}

TEST(SamplerTest, GeneratorIsUniformAlongSeedsAndSteps) {
  for (const bool alongSeeds : {false, true}) {
    std::vector<int> bins(64);
    double sum = 0, product = 0, last = 0.5;
    constexpr int draws = 64000;
    for (int i = 0; i < draws; ++i) {
      const double u =
          alongSeeds ? uniformOf(uint64_t(i), 7) : uniformOf(7, uint64_t(i));
      ASSERT_GE(u, 0);
      ASSERT_LT(u, 1);
      ++bins[size_t(u * 64)];
      sum += u;
      product += (u - 0.5) * (last - 0.5);
      last = u;
    }
    double chi = 0;
    for (const int count : bins)
      chi += (count - 1000.0) * (count - 1000.0) / 1000;
    EXPECT_LT(chi, 63 + 5 * std::sqrt(2.0 * 63));
    EXPECT_NEAR(sum / draws, 0.5, 0.006);
    EXPECT_NEAR(product / draws, 0, 0.002); // neighbours are uncorrelated
  }
}

TEST(SamplerTest, BadOptionsAreNamed) {
  const auto messageOf = [](auto edit) {
    Sampling sampling;
    sampling.temperature = 1;
    edit(sampling);
    return errorOf([&] { sampleToken(sampling, kLogits, {}, 0); });
  };
  EXPECT_EQ(messageOf([](Sampling &s) { s.temperature = -1; }),
            "temperature: expected a number of at least 0, found -1.000000");
  EXPECT_EQ(messageOf([](Sampling &s) { s.temperature = NAN; }),
            "temperature: expected a number of at least 0, found nan");
  EXPECT_EQ(messageOf([](Sampling &s) { s.temperature = kInfinity; }),
            "temperature: expected a number of at least 0, found inf");
  EXPECT_EQ(messageOf([](Sampling &s) { s.topK = -1; }),
            "top_k: expected at least 0, found -1");
  EXPECT_EQ(messageOf([](Sampling &s) { s.topP = 0; }),
            "top_p: expected a number above 0 and up to 1, found 0.000000");
  EXPECT_EQ(messageOf([](Sampling &s) { s.topP = 1.5f; }),
            "top_p: expected a number above 0 and up to 1, found 1.500000");
  EXPECT_EQ(messageOf([](Sampling &s) { s.minP = -0.5f; }),
            "min_p: expected a number from 0 to 1, found -0.500000");
  EXPECT_EQ(messageOf([](Sampling &s) { s.repetitionPenalty = 0; }),
            "repetition_penalty: expected a number above 0, found 0.000000");
  EXPECT_EQ(messageOf([](Sampling &s) { s.presencePenalty = 2.5f; }),
            "presence_penalty: expected a number from -2 to 2, found 2.500000");
  EXPECT_EQ(messageOf([](Sampling &s) { s.frequencyPenalty = NAN; }),
            "frequency_penalty: expected a number from -2 to 2, found nan");
  EXPECT_EQ(messageOf([](Sampling &s) { s.logitBias = {{0, 101}}; }),
            "logit_bias: expected a number from -100 to 100, found "
            "101.000000");
  EXPECT_EQ(messageOf([](Sampling &s) { s.logitBias = {{6, 1}}; }),
            "logit_bias: expected ids from 0 to 5, found 6");
}

TEST(SamplerTest, BadLogitsAndHistoryAreNamed) {
  const auto messageOf = [](std::vector<float> logits,
                            std::vector<int32_t> history = {}) {
    Sampling sampling;
    sampling.repetitionPenalty = 2;
    return errorOf([&] { sampleToken(sampling, logits, history, 0); });
  };
  EXPECT_EQ(messageOf({}), "logits: expected at least one, found none");
  EXPECT_EQ(messageOf({0, NAN}), "logits[1]: expected a finite value, found "
                                 "NaN");
  EXPECT_EQ(messageOf({kInfinity}), "logits[0]: expected a finite value, found "
                                    "infinity");
  EXPECT_EQ(messageOf({-kInfinity, -kInfinity}),
            "logits: expected a possible token, found -infinity for all");
  EXPECT_EQ(messageOf({0, 0}, {2}), "history: expected ids from 0 to 1, found "
                                    "2");
  EXPECT_EQ(messageOf({0, 0}, {-1}), "history: expected ids from 0 to 1, found "
                                     "-1");
}

/// Cuts against plain sorting, on vocabularies of every kind: ties, peaks, flat
/// ones, tokens that are ruled out, sizes around the passes' blocks.
TEST(LogitPassesTest, CutsAreThoseOfSorting) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 1);
  for (const size_t size : {1u, 2u, 31u, 33u, 256u, 257u, 1000u, 20000u})
    for (int kind = 0; kind < 6; ++kind) {
      std::vector<float> logits(size);
      for (float &logit : logits) {
        logit = normal(random) * (kind == 1 ? 0.05f : 3);
        if (kind == 2) // ties
          logit = std::round(logit);
        if (kind == 3) // two values
          logit = logit > 0 ? 1 : 0;
        if (kind == 4 && random() % 3 == 0)
          logit = -kInfinity;
        if (kind == 5)
          logit = random() % 8 == 0 ? -1e9f : 0;
      }
      for (float &logit : logits)
        logit = std::min(logit, 11.5f);
      logits[random() % size] = 12;
      std::vector<float> weights((size + kPassBlock - 1) / kPassBlock *
                                 kPassBlock);
      weigh(logits, 12, 2, weights);
      ASSERT_EQ(firstLargest(logits),
                size_t(std::ranges::max_element(logits) - logits.begin()));
      std::vector<size_t> order(size);
      std::iota(order.begin(), order.end(), 0);
      std::ranges::sort(order, [&](size_t a, size_t b) {
        return std::pair(-logits[a], a) < std::pair(-logits[b], b);
      });
      for (size_t i = 0; i < size; ++i) {
        const double exact = std::exp((double(logits[i]) - 12) / 2);
        ASSERT_NEAR(weights[i], exact, 2e-6 * exact + 1e-37) << logits[i];
      }
      for (size_t count = 1; count < size; count = count * 3 + 1) {
        const Cut cut = cutAtCount(logits, count);
        std::vector<float> kept(weights.size(), 1);
        dropBehind(cut, logits, kept);
        for (size_t i = 0; i < size; ++i)
          ASSERT_EQ(kept[order[i]],
                    i < count || logits[order[count - 1]] == -kInfinity)
              << size << " " << kind << " " << count;
      }
      double total = 0;
      for (const float weight : weights)
        total += weight;
      // Different logits may have one weight.
      std::ranges::sort(order, [&](size_t a, size_t b) {
        return std::pair(-weights[a], a) < std::pair(-weights[b], b);
      });
      for (const double share : {0.01, 0.5, 0.9, 0.95, 0.999}) {
        std::vector<float> kept = weights;
        dropBehind(cutAtSum(weights, share), weights, kept);
        size_t count = 0;
        double mass = 0, lightest = 2;
        for (const float weight : kept) {
          count += weight > 0;
          mass += weight;
          lightest = weight > 0 ? std::min(lightest, double(weight)) : lightest;
        }
        // Rounding decides where a share is reached exactly.
        ASSERT_GE(mass, share * total * (1 - 1e-5));
        ASSERT_LT(mass - lightest, share * total * (1 + 1e-5))
            << size << " " << kind << " " << share;
        for (size_t i = 0; i < count; ++i)
          ASSERT_GT(kept[order[i]], 0) << size << " " << kind << " " << share;
      }
    }
}

/// The same draws on every machine, compiler and level: worked out once.
TEST(LogitPassesTest, BitsOfWeightsAreFixed) {
  const std::vector<float> logits = {0,     -0.25f, -0.5f,  -1,    -2.75f,
                                     -3.1f, -7.3f,  -20.2f, -61.7f};
  std::vector<float> weights(kPassBlock);
  weigh(logits, 0, 0.7f, weights);
  const std::vector<uint32_t> expected = {0x3f800000, 0x3f331dbc, 0x3efaa534,
                                          0x3e756714, 0x3ca126a7, 0x3c437c6e,
                                          0x37f8186a, 0x2aa52f5d, 0x00000000};
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(std::bit_cast<uint32_t>(weights[i]), expected[i]) << i;
}

TEST(SamplerTest, CutsAgreeWithSortingOnALargeVocabulary) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> logits(5000);
  for (float &logit : logits)
    logit = std::round(normal(random) * 4) / 4; // many ties
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return std::pair(-logits[size_t(a)], a) < std::pair(-logits[size_t(b)], b);
  });
  const std::vector<double> p = softmax(logits, 1);
  std::set<int32_t> allowed;
  double mass = 0;
  for (size_t i = 0; mass < 0.3; ++i) {
    allowed.insert(order[i]);
    mass += p[size_t(order[i])];
  }
  Sampling sampling;
  sampling.temperature = 1;
  sampling.topP = 0.3f;
  std::set<int32_t> drawn;
  for (uint64_t step = 0; step < 3000; ++step)
    drawn.insert(sampleToken(sampling, logits, {}, step));
  for (const int32_t id : drawn)
    EXPECT_TRUE(allowed.contains(id)) << id;
  sampling.topP = 1;
  sampling.topK = 10;
  for (uint64_t step = 0; step < 1000; ++step)
    EXPECT_NE(std::find(order.begin(), order.begin() + 10,
                        sampleToken(sampling, logits, {}, step)),
              order.begin() + 10);
}

} // namespace
