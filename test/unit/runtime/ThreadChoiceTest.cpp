// SPDX-License-Identifier: Apache-2.0
//
// The choice of threads against machines that are made up: passes take what a
// formula says, without a clock.
#include "runtime/ThreadChoice.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>

using namespace fairy2;

namespace {

/// Seconds of a pass with so many threads.
using Machine = std::function<double(int threads)>;

/// Runs for `seconds`; returns passes per second.
double run(ThreadChoice &choice, const Machine &machine, double seconds) {
  double time = 0;
  int64_t passes = 0;
  for (; time < seconds; ++passes) {
    const double took = machine(choice.threads());
    choice.took(took);
    time += took;
  }
  return double(passes) / time;
}

/// Threads share the work and meet in barriers.
Machine idle(double work, double barriers) {
  return [=](int threads) {
    return work / threads + (threads > 1 ? barriers : 0);
  };
}

/// One core is contested: with more than one thread a pass loses time slices,
/// often but not always.
Machine contested(double work, std::mt19937 &random) {
  return [work, &random](int threads) {
    if (threads == 1)
      return work;
    return random() % 10 < 7 ? work + 1e-3 * double(random() % 8) : work / 2;
  };
}

TEST(ThreadChoiceTest, OneThreadIsOneThread) {
  ThreadChoice choice(1);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(choice.threads(), 1);
    choice.took(1e-3);
  }
}

TEST(ThreadChoiceTest, WhatMemoryGainsIsKept) {
  for (const int most : {2, 3, 8, 13})
    for (const double work : {2e-4, 5e-3, 0.4}) {
      ThreadChoice choice(most);
      EXPECT_EQ(choice.threads(), most);
      const Machine machine = idle(work, 1e-5);
      EXPECT_GT(run(choice, machine, 200 * work + 3), 0.95 / machine(most))
          << most << " threads, " << work << " s";
    }
}

TEST(ThreadChoiceTest, BarriersThatCostMoreThanTheySaveAreLeft) {
  ThreadChoice choice(8); // 1 is best
  const Machine slow = idle(2e-4, 3e-4);
  EXPECT_GT(run(choice, slow, 3), 0.95 / slow(1));
  ThreadChoice some(8); // memory gives out at 4
  const Machine half = [](int threads) {
    return 2e-3 / std::min(threads, 4) + 2e-5 * threads;
  };
  EXPECT_GT(run(some, half, 5), 0.93 / half(4));
}

TEST(ThreadChoiceTest, NeverBelowNineTenthsOfOneThread) {
  std::mt19937 random(1);
  for (const double work : {1.5e-4, 1e-3, 1e-2}) {
    ThreadChoice choice(2);
    EXPECT_GT(run(choice, contested(work, random), 2), 0.9 / work) << work;
    EXPECT_GT(run(choice, contested(work, random), 20), 0.95 / work) << work;
  }
}

/// Other programs disturb a pass now and then, with however many threads.
TEST(ThreadChoiceTest, DisturbancesDoNotTakeThreads) {
  std::mt19937 random(3);
  const auto disturbed = [&](int threads) {
    return 1e-3 / threads + (threads > 1 ? 2e-4 : 0) +
           (random() % 100 == 0 ? 4e-3 : 0);
  };
  double seconds = 0;
  for (int i = 0; i < 10000; ++i)
    seconds += disturbed(2) / 10000;
  ThreadChoice choice(2);
  EXPECT_GT(run(choice, disturbed, 1), 0.85 / seconds);
  EXPECT_GT(run(choice, disturbed, 20), 0.93 / seconds);
}

TEST(ThreadChoiceTest, NeighboursComeAndGo) {
  std::mt19937 random(2);
  const double work = 1e-3;
  ThreadChoice choice(2);
  const Machine free = idle(work, 2e-5), busy = contested(work, random);
  for (int round = 0; round < 3; ++round) {
    run(choice, free, 12);
    EXPECT_GT(run(choice, free, 10), 0.95 / free(2));
    EXPECT_GT(run(choice, busy, 10), 0.9 / work);
  }
}

/// In every round texts grow from step to step, and passes with them: what one
/// thread took of short texts says nothing of long ones. A server's client
/// wakes for every token, and sometimes that costs a pass on two threads a
/// slice.
TEST(ThreadChoiceTest, GrowingTextsDoNotTakeThreads) {
  std::mt19937 random(4);
  for (const double growth : {0.5, 2.0, 6.0}) {
    ThreadChoice choice(2);
    for (int round = 0; round < 8; ++round) {
      double took = 0, best = 0;
      for (int i = 0; i < 400; ++i) {
        const double work = 11e-3 * (1 + growth * i / 400);
        const double two = work / 2 + (random() % 8 == 0 ? 1.5e-3 : 2e-5);
        const double pass = choice.threads() == 1 ? work : two;
        choice.took(pass);
        took += pass;
        best += two;
      }
      EXPECT_LT(took, best / 0.95)
          << "round " << round << ", growth " << growth;
    }
  }
}

/// Also where passes are long, so that many of them take long.
TEST(ThreadChoiceTest, ThreadsComeBackInSecondsAfterALongFight) {
  std::mt19937 random(5);
  const double work = 20e-3;
  ThreadChoice choice(2);
  const Machine free = idle(work, 2e-5);
  const Machine fight = [&](int threads) {
    return threads == 1 ? work : work + 1e-3 * double(random() % 20);
  };
  run(choice, fight, 100);
  run(choice, free, 8);
  EXPECT_GT(run(choice, free, 5), 0.95 / free(2));
}

} // namespace
