// SPDX-License-Identifier: Apache-2.0
//
// What slots keep, for whom, and in how much memory.
#include "runtime/SlotCache.h"

#include "runtime/Cores.h"
#include "test/unit/runtime/SchedulerFixture.h"

#include <algorithm>
#include <numeric>

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
  for (const auto &one : added)
    expectGreedy(*one);
}

/// The first computes what the others need; a stranger does not wait behind
/// those that wait for it.
TEST_F(SlotCacheTest, ChoicesThatComeTogetherComputeTheirPromptOnce) {
  Session wide(model, {1, 0, 5});
  std::mt19937 random(12);
  const std::vector<int32_t> start = randomPrompt(random, 48);
  for (const bool scored : {false, true}) {
    Scheduler crowd(wide);
    for (int32_t slot = 0; slot < wide.slots(); ++slot)
      wide.reset(slot);
    std::vector<std::shared_ptr<Sequence>> added;
    for (int32_t i = 0; i < 4; ++i) {
      std::vector<int32_t> prompt = start;
      prompt.insert(prompt.end(), 12, i);
      GenerationOptions each = options(3);
      if (scored)
        each.logprobs = 2;
      each.scoresPrompt = scored;
      added.push_back(std::make_shared<Sequence>(wide, prompt, each));
      crowd.add(added.back());
    }
    GenerationOptions other = options(2);
    other.owner = "somebody else";
    added.push_back(std::make_shared<Sequence>(wide, start, other));
    crowd.add(added.back());
    crowd.step();
    EXPECT_EQ(crowd.running(), 2u);
    EXPECT_EQ(crowd.waiting(), 3u);
    while (crowd.step())
      ;
    // All but a start of less than a batch was there already.
    const uint64_t least = 60 + 3 * 12 + 48;
    EXPECT_GE(crowd.totals().promptTokens, least);
    EXPECT_LE(crowd.totals().promptTokens, least + 3 * kFakeBatch);
    for (const auto &one : added)
      expectGreedy(*one);
  }
}

/// Who is waited for may leave.
TEST_F(SlotCacheTest, AWaitForAPromptEndsWithIt) {
  std::mt19937 random(13);
  const std::vector<int32_t> prompt = randomPrompt(random, 60);
  for (const bool pauses : {false, true}) {
    std::atomic<bool> leaves = false;
    GenerationOptions first = options(3);
    (pauses ? first.paused : first.interrupted) = &leaves;
    first.owner = pauses ? "b" : "a";
    GenerationOptions second = options(3);
    second.owner = first.owner;
    const auto one = add(prompt, first), other = add(prompt, second);
    scheduler.step();
    scheduler.step();
    EXPECT_EQ(scheduler.waiting(), 1u);
    leaves = true;
    for (int step = 0; step < 20 && !other->isFinished(); ++step)
      scheduler.step();
    EXPECT_EQ(other->result().ids, fakeGreedy(prompt, 3));
    EXPECT_EQ(other->result().cachedTokens, 16u);
    leaves = false;
    finish();
  }
}

/// Greedy, seeded and scored ones in any order and company, with and without
/// what others left, on one thread and two.
TEST_F(SlotCacheTest, EqualBytesWithAndWithoutCache) {
  struct Request {
    std::vector<int32_t> prompt;
    GenerationOptions options;
  };
  struct Told {
    std::vector<int32_t> ids;
    std::string text;
    FinishReason reason;
    std::vector<std::vector<TokenProbability>> scores;
    bool operator==(const Told &) const = default;
  };
  std::mt19937 random(14);
  std::vector<std::vector<int32_t>> starts;
  for (int i = 0; i < 4; ++i)
    starts.push_back(randomPrompt(random, 10 + 15 * size_t(i)));
  std::vector<Request> requests(64);
  for (size_t i = 0; i < requests.size(); ++i) {
    Request &request = requests[i];
    request.prompt = starts[random() % starts.size()];
    for (const int32_t token : randomPrompt(random, 1 + random() % 20))
      request.prompt.push_back(token);
    request.options.maxTokens = int64_t(i % 3 == 2 ? random() % 4 : 12);
    request.options.sampling.seed = random();
    request.options.sampling.temperature = i % 3 == 1 ? 300 : 0;
    request.options.scoresPrompt = i % 3 == 2;
    if (i % 2 == 0 || request.options.scoresPrompt)
      request.options.logprobs = int32_t(random() % 6);
  }
  const auto run = [&](const SessionOptions &sessionOptions, CacheUse use,
                       const std::vector<size_t> &order, bool together) {
    Session session(model, sessionOptions);
    Scheduler scheduler(session, {.use = use});
    std::vector<Told> all(requests.size());
    std::vector<std::shared_ptr<Sequence>> added(requests.size());
    for (const size_t i : order) {
      GenerationOptions each = requests[i].options;
      each.onScore = [&told = all[i]](const TokenScore &score) {
        told.scores.push_back(score.best);
        told.scores.back().push_back(score.token);
      };
      added[i] = std::make_shared<Sequence>(session, requests[i].prompt, each);
      scheduler.add(added[i]);
      while (!together && scheduler.step())
        ;
    }
    while (scheduler.step())
      ;
    for (size_t i = 0; i < all.size(); ++i) {
      const Generation result = added[i]->result();
      all[i].ids = result.ids;
      all[i].text = result.text;
      all[i].reason = result.reason;
    }
    return all;
  };
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t(0));
  const std::vector<Told> alone = run({1, 0, 1}, CacheUse::Off, order, false);
  const int32_t most = std::min(2, usableCores());
  for (int32_t threads = 1; threads <= most; ++threads)
    for (const CacheUse use : {CacheUse::PerOwner, CacheUse::Off}) {
      std::ranges::shuffle(order, random);
      const std::vector<Told> found = run({threads, 0, 6}, use, order, true);
      for (size_t i = 0; i < found.size(); ++i)
        EXPECT_EQ(found[i], alone[i]) << i << ", " << threads << " threads";
    }
}

} // namespace
