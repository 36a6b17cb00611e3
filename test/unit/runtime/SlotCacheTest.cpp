// SPDX-License-Identifier: Apache-2.0
//
// What slots keep, for whom, and in how much memory.
#include "runtime/SlotCache.h"

#include "test/unit/runtime/SchedulerFixture.h"

#include <algorithm>

using namespace fairy2;
using namespace fairy2::test;

namespace {

using SlotCacheTest = SchedulerTest;

/// A slot that holds a start of the prompt is taken, and of equal ones that
/// which has been idle longest.
TEST_F(SlotCacheTest, IdleSlotsAreTheCache) {
  std::vector<std::vector<int32_t>> prompts;
  std::mt19937 random(6);
  for (int i = 0; i < kSlots; ++i) {
    prompts.push_back(randomPrompt(random, 24));
    prompts.back()[0] = i;
    add(prompts.back(), options(1));
    finish();
  }
  int64_t steps = 0; // three in a pass
  session.observeSteps([&] { ++steps; });
  const auto passesOf = [&](const std::vector<int32_t> &prompt) {
    const int64_t before = steps;
    const auto added = add(prompt, options(1));
    finish();
    EXPECT_EQ(added->result().ids, fakeGreedy(prompt, 1));
    return (steps - before) / 3;
  };
  for (const auto &prompt : prompts)
    EXPECT_EQ(passesOf(prompt), 1);
  std::vector<int32_t> longer = prompts[1];
  longer.insert(longer.end(), 10, 7);
  EXPECT_EQ(passesOf(longer), 2); // ten tokens instead of 34
  std::vector<int32_t> stranger = prompts[0];
  stranger[0] = 31;
  EXPECT_EQ(passesOf(stranger), 3); // takes the slot of prompts[0]
  EXPECT_EQ(passesOf(longer), 1);
  EXPECT_EQ(passesOf(prompts[2]), 1);
}

TEST_F(SlotCacheTest, OwnersDoNotShareWhatTheyLeft) {
  const std::vector<int32_t> prompt(30, 5);
  const auto cachedOf = [&](Scheduler &by, const std::string &owner) {
    GenerationOptions each = options(1);
    each.owner = owner;
    const auto one = sequence(prompt, each);
    by.add(one);
    while (by.step())
      ;
    EXPECT_EQ(one->result().ids, fakeGreedy(prompt, 1));
    return one->result().cachedTokens;
  };
  EXPECT_EQ(cachedOf(scheduler, "ann"), 0u);
  EXPECT_EQ(cachedOf(scheduler, "bob"), 0u);
  EXPECT_EQ(cachedOf(scheduler, "ann"), 29u);
  EXPECT_EQ(scheduler.totals().cachedTokens, 29u);
  EXPECT_EQ(scheduler.totals().promptTokens, 61u);
  EXPECT_EQ(scheduler.totals().generatedTokens, 3u);
  Session other(model, {1, 0, 1});
  Scheduler shared(other, {.use = CacheUse::Shared});
  EXPECT_EQ(cachedOf(shared, "ann"), 0u);
  EXPECT_EQ(cachedOf(shared, "bob"), 29u);
}

/// Requests that begin alike compute that once, also while the first of them
/// still runs, and what a slot keeps of a longer text stays there.
TEST_F(SlotCacheTest, PrefixesAreCopied) {
  Session wide(model, {1, 0, 4});
  Scheduler crowd(wide);
  std::mt19937 random(9);
  const std::vector<int32_t> start = randomPrompt(random, 40);
  const auto begin = [&](int32_t last, int64_t tokens) {
    std::vector<int32_t> prompt = start;
    prompt.push_back(last);
    auto one = std::make_shared<Sequence>(wide, prompt, options(tokens));
    crowd.add(one);
    return one;
  };
  const auto first = begin(1, 50);
  while (first->inPrompt())
    crowd.step();
  const auto second = begin(2, 5), third = begin(3, 5);
  crowd.step();
  EXPECT_EQ(crowd.totals().cachedTokens, 80u);
  EXPECT_FALSE(second->inPrompt() || third->inPrompt());
  while (crowd.step())
    ;
  EXPECT_EQ(
      first->result().ids,
      fakeGreedy({first->tokens().begin(), first->tokens().begin() + 41}, 50));
  EXPECT_EQ(
      second->result().ids,
      fakeGreedy({second->tokens().begin(), second->tokens().begin() + 41}, 5));
  // A little of the long text, and then all of it again.
  const auto little = std::make_shared<Sequence>(
      wide, std::vector<int32_t>{start[0], start[1], 31}, options(1));
  crowd.add(little);
  crowd.step();
  const auto again = std::make_shared<Sequence>(
      wide,
      std::vector<int32_t>(first->tokens().begin(), first->tokens().end() - 1),
      options(1));
  crowd.add(again);
  while (crowd.step())
    ;
  EXPECT_EQ(little->result().cachedTokens, 2u);
  EXPECT_EQ(again->result().cachedTokens, 89u);
}

/// Of ten slots three run at once; the others keep prefixes.
TEST_F(SlotCacheTest, SlotsBeyondThoseThatRunKeepPrefixes) {
  Session wide(model, {1, 0, 10});
  Scheduler crowd(wide, {.running = 3});
  std::mt19937 random(10);
  std::vector<std::vector<int32_t>> prompts;
  for (int i = 0; i < 8; ++i) {
    prompts.push_back(randomPrompt(random, 20));
    prompts.back()[0] = i;
  }
  std::vector<std::shared_ptr<Sequence>> again;
  for (int round = 0; round < 2; ++round) {
    again.clear();
    for (const auto &prompt : prompts) {
      again.push_back(std::make_shared<Sequence>(wide, prompt, options(2)));
      crowd.add(again.back());
    }
    do
      EXPECT_LE(crowd.running(), 3u);
    while (crowd.step());
  }
  for (const auto &one : again)
    EXPECT_EQ(one->result().cachedTokens, 19u);
}

/// Sequences wait where all together would take more memory than there may be,
/// and memory of idle slots goes, the longest idle first.
TEST_F(SlotCacheTest, MemoryIsBounded) {
  Session wide(model, {1, 0, 6});
  EXPECT_EQ(errorOf([&] { Scheduler(wide, {.positions = 111}); }),
            "positions: expected at least 112, those of one slot, found 111");
  Scheduler crowd(wide, {.positions = 128});
  std::mt19937 random(11);
  std::vector<std::shared_ptr<Sequence>> added;
  for (int i = 0; i < 30; ++i) {
    std::vector<int32_t> prompt = randomPrompt(random, 1 + random() % 40);
    prompt[0] = i;
    added.push_back(std::make_shared<Sequence>(
        wide, prompt, options(1 + int64_t(random() % 59))));
    crowd.add(added.back());
  }
  size_t most = 0;
  while (crowd.step()) {
    const SlotCache::Use use = crowd.positions();
    EXPECT_LE(use.reserved, 128);
    EXPECT_LE(use.held, 128);
    most = std::max(most, crowd.running());
  }
  EXPECT_GE(most, 2u);
  for (const auto &one : added) {
    const auto all = one->tokens();
    EXPECT_EQ(
        one->result().ids,
        fakeGreedy({all.begin(), all.begin() + int64_t(one->promptTokens())},
                   all.size() - one->promptTokens()));
  }
}

} // namespace
