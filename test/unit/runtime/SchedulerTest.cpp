// SPDX-License-Identifier: Apache-2.0
//
// Many sequences together on the fake model: whoever else runs, each gives what
// it gives alone.
#include "test/unit/runtime/SchedulerFixture.h"

#include "runtime/Generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <ranges>

using namespace fairy2;
using namespace fairy2::test;

namespace {

/// What a test compares of a generation.
struct Told {
  std::vector<int32_t> ids;
  std::string text;
  FinishReason reason;
  bool operator==(const Told &) const = default;
};
Told told(const Generation &generation) {
  return {generation.ids, generation.text, generation.reason};
}

TEST_F(SchedulerTest, MixedLengthsGiveTheFormulasTokens) {
  std::mt19937 random(1);
  std::vector<std::shared_ptr<Sequence>> sequences;
  for (const size_t size : {1, 30, 7, 8, 9, 64, 2}) // a batch has 8 tokens
    sequences.push_back(add(randomPrompt(random, size), options(12)));
  EXPECT_EQ(scheduler.waiting(), 7u);
  EXPECT_TRUE(scheduler.step());
  EXPECT_EQ(scheduler.running(), size_t(kSlots));
  EXPECT_EQ(scheduler.waiting(), 4u);
  finish();
  EXPECT_EQ(scheduler.running() + scheduler.waiting(), 0u);
  EXPECT_FALSE(scheduler.step());
  for (const auto &one : sequences) {
    const auto all = one->tokens();
    const std::vector<int32_t> prompt(all.begin(), all.end() - 12);
    EXPECT_EQ(one->result().ids, fakeGreedy(prompt, 12));
    EXPECT_EQ(one->result().reason, FinishReason::Length);
  }
}

/// Requests of every kind; in whatever order, company and number of slots, each
/// tells what generate() tells.
TEST_F(SchedulerTest, OrderAndCompanyDoNotMatter) {
  std::mt19937 random(2);
  struct Request {
    std::vector<int32_t> prompt;
    GenerationOptions options;
    Told alone;
  };
  std::vector<Request> requests;
  const std::vector<int32_t> start = randomPrompt(random, 20);
  for (int i = 0; i < 24; ++i) {
    Request request;
    request.prompt = randomPrompt(random, 1 + random() % 40);
    if (i % 3 == 0) // starts that slots may still hold
      request.prompt.insert(request.prompt.begin(), start.begin(), start.end());
    request.options.maxTokens = 1 + random() % 50; // some fill the context
    request.options.ignoreEos = i % 4 == 0;
    request.options.sampling.temperature = i % 2 ? 300 : 0;
    request.options.sampling.seed = random();
    request.options.sampling.repetitionPenalty = i % 5 ? 1 : 1.5f;
    request.options.stops = {std::string(1, char('a' + i)), "zz"};
    Session alone(model, {1, 0, 1});
    request.alone = told(generate(alone, request.prompt, request.options));
    requests.push_back(request);
  }
  std::map<FinishReason, int> reasons;
  for (const Request &request : requests)
    ++reasons[request.alone.reason];
  EXPECT_GE(reasons.size(), 3u);

  for (const int32_t slots : {1, 3, 8, 11}) { // more than a batch holds
    Session shared(model, {0, 0, slots});
    Scheduler together(shared);
    for (int round = 0; round < 3; ++round) {
      std::ranges::shuffle(requests, random);
      std::vector<std::shared_ptr<Sequence>> added;
      for (const Request &request : requests) {
        added.push_back(std::make_shared<Sequence>(shared, request.prompt,
                                                   request.options));
        together.add(added.back());
        if (random() % 2) // some come while others run
          together.step();
      }
      while (together.step())
        ;
      for (size_t i = 0; i < requests.size(); ++i)
        EXPECT_EQ(told(added[i]->result()), requests[i].alone)
            << slots << " slots, round " << round;
    }
  }
}

TEST_F(SchedulerTest, TheFirstComesFirst) {
  std::vector<std::shared_ptr<Sequence>> added;
  for (int i = 0; i < 6; ++i)
    added.push_back(add({1, 3 + i}, options(i == 0 ? 2 : 5)));
  EXPECT_TRUE(scheduler.step()); // prompts, and one token of each
  EXPECT_TRUE(scheduler.step());
  EXPECT_TRUE(added[0]->isFinished());
  EXPECT_EQ(added[3]->tokens().size(), 2u); // its slot was busy
  EXPECT_TRUE(scheduler.step());
  EXPECT_EQ(added[3]->tokens().size(), 3u);
  EXPECT_EQ(added[4]->tokens().size(), 2u);
  finish();
}

/// A long prompt takes what the others leave of a batch.
TEST_F(SchedulerTest, APromptDoesNotStopTheOthers) {
  const auto talking = add({1, 3}, options(40));
  scheduler.step();
  std::mt19937 random(3);
  const auto reading = add(randomPrompt(random, 40), options(1));
  size_t passes = 0;
  while (!reading->isFinished()) {
    const size_t before = talking->tokens().size();
    scheduler.step();
    EXPECT_EQ(talking->tokens().size(), before + 1);
    ++passes;
  }
  EXPECT_EQ(passes, 6u); // 7 of 8 tokens each
  finish();
}

/// With more sequences than a batch has tokens all advance in turn.
TEST_F(SchedulerTest, NobodyStarves) {
  Session wide(model, {1, 0, 2 * kFakeBatch});
  Scheduler crowd(wide);
  std::vector<std::shared_ptr<Sequence>> added;
  for (int i = 0; i < 2 * kFakeBatch; ++i) {
    added.push_back(std::make_shared<Sequence>(
        wide, std::vector<int32_t>(size_t(1 + i % 3), i), options(30)));
    crowd.add(added.back());
  }
  for (int pass = 0; pass < 30; ++pass)
    crowd.step();
  for (const auto &one : added)
    EXPECT_GE(one->tokens().size(), 12u);
}

TEST_F(SchedulerTest, CancelledOnesGoAndOthersStay) {
  std::atomic<bool> cancelled[3] = {};
  std::vector<std::shared_ptr<Sequence>> added;
  std::string streamed;
  for (int i = 0; i < 5; ++i) {
    GenerationOptions each = options(i < 3 ? 90 : 10);
    if (i < 3)
      each.interrupted = &cancelled[i];
    if (i == 0)
      each.onText = [&](std::string_view piece) { streamed += piece; };
    added.push_back(add({1, 3 + i}, each));
  }
  scheduler.step();
  scheduler.step();
  const size_t before = added[0]->tokens().size();
  cancelled[0] = true; // while it runs
  scheduler.step();
  EXPECT_EQ(added[0]->tokens().size(), before);
  EXPECT_EQ(added[0]->result().reason, FinishReason::Interrupted);
  EXPECT_EQ(added[0]->result().text, streamed);
  EXPECT_EQ(added[3]->tokens().size(), 3u); // took the slot in the same pass

  // In the prompt, and in the queue.
  std::mt19937 random(4);
  std::atomic<bool> early = false;
  GenerationOptions each = options(90);
  each.interrupted = &early;
  const auto reading = add(randomPrompt(random, 60), each);
  const auto queued = add({1, 2}, each);
  while (scheduler.waiting() > 1)
    scheduler.step();
  EXPECT_TRUE(reading->inPrompt());
  early = true;
  scheduler.step();
  EXPECT_EQ(scheduler.waiting(), 0u);
  for (const auto &one : {reading, queued}) {
    EXPECT_EQ(one->result().reason, FinishReason::Interrupted);
    EXPECT_TRUE(one->result().ids.empty());
  }
  cancelled[1] = true;
  finish();
  for (const int i : {2, 3, 4})
    EXPECT_EQ(added[size_t(i)]->result().ids,
              fakeGreedy({1, 3 + i}, i < 3 ? 90 : 10));
}

TEST_F(SchedulerTest, RandomCancelsLeaveNothingBehind) {
  std::mt19937 random(5);
  for (int round = 0; round < 100; ++round) {
    std::vector<std::atomic<bool>> flags(10);
    std::vector<std::shared_ptr<Sequence>> added;
    for (auto &flag : flags) {
      GenerationOptions each = options(20);
      each.interrupted = &flag;
      added.push_back(add(randomPrompt(random, 1 + random() % 30), each));
    }
    while (scheduler.step())
      flags[random() % flags.size()] = random() % 4 == 0;
    for (const auto &one : added) {
      const Generation result = one->result();
      const auto all = one->tokens();
      EXPECT_EQ(result.ids,
                fakeGreedy({all.begin(), all.end() - std::ssize(result.ids)},
                           result.ids.size()));
    }
    EXPECT_EQ(scheduler.running() + scheduler.waiting(), 0u);
  }
}

TEST_F(SchedulerTest, AFailureEndsOneSequenceAlone) {
  GenerationOptions failing = options(20);
  failing.onText = [](std::string_view) { throw Error("test: disk full"); };
  const auto bad = add({1, 4}, failing);
  const auto good = add({1, 5}, options(20));
  failing.logitsOut = folder.file("l.npy");
  const auto late = add({1, 6}, failing);
  finish();
  EXPECT_EQ(errorOf([&] { bad->result(); }), "test: disk full");
  EXPECT_EQ(errorOf([&] { late->result(); }), "test: disk full");
  EXPECT_EQ(good->result().ids, fakeGreedy({1, 5}, 20));
  // The slot serves the next one.
  const auto next = add({1, 4}, options(20));
  finish();
  EXPECT_EQ(next->result().ids, fakeGreedy({1, 4}, 20));
}

TEST_F(SchedulerTest, GivenSlotsAloneAreUsed) {
  session.eval(1, std::vector<int32_t>{9, 9}, Session::Logits::None, nullptr);
  Scheduler two(session, {0, 2});
  std::vector<std::shared_ptr<Sequence>> added;
  for (int i = 0; i < 4; ++i) {
    added.push_back(sequence({1, 3 + i}, options(5)));
    two.add(added.back());
  }
  while (two.step())
    ;
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(added[size_t(i)]->result().ids, fakeGreedy({1, 3 + i}, 5));
  EXPECT_EQ(session.length(1), 2);
}

/// What a score must be, in double from the fake model's formula.
void expectScore(const TokenScore &score, const std::vector<int32_t> &before,
                 int32_t id, size_t best) {
  const std::vector<float> logits = fakeLogits(before);
  const auto logprob = [&](int32_t of) {
    long double sum = 0; // of values up to exp(1009)
    for (const float logit : logits)
      sum += std::exp((long double)logit - (long double)logits[size_t(of)]);
    return double(-std::log(sum));
  };
  EXPECT_EQ(score.token.id, id);
  EXPECT_NEAR(score.token.logprob, logprob(id), 1e-4);
  std::vector<int32_t> order(kFakeVocab);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](int32_t id) {
    return std::pair(-logits[size_t(id)], id);
  });
  ASSERT_EQ(score.best.size(), best);
  for (size_t i = 0; i < best; ++i) {
    EXPECT_EQ(score.best[i].id, order[i]);
    EXPECT_NEAR(score.best[i].logprob, logprob(order[i]), 1e-4);
  }
}

/// Scores of prompts and of what follows, alone, together and from what slots
/// kept of others.
TEST_F(SchedulerTest, ScoresAreTheFormulas) {
  std::mt19937 random(7);
  const std::vector<int32_t> start = randomPrompt(random, 30);
  struct Request {
    std::shared_ptr<Sequence> sequence;
    std::vector<TokenScore> scores;
  };
  size_t cached = 0;
  for (const CacheUse use : {CacheUse::PerOwner, CacheUse::Off}) {
    Session shared(model, {2, 0, kSlots});
    Scheduler together(shared, {.use = use});
    std::vector<std::unique_ptr<Request>> requests;
    for (int i = 0; i < 24; ++i) {
      auto request = std::make_unique<Request>();
      std::vector<int32_t> prompt(start.begin(), start.begin() + random() % 31);
      for (const int32_t token : randomPrompt(random, 1 + random() % 12))
        prompt.push_back(token);
      GenerationOptions each = options(i % 3 * 4);
      each.logprobs = i % 4 * 11 % 21;
      each.scoresPrompt = i % 3 == 0 || i % 2;
      each.sampling.temperature = i % 2 ? 300 : 0;
      each.onScore = [to = request.get()](const TokenScore &score) {
        to->scores.push_back(score);
      };
      request->sequence = std::make_shared<Sequence>(shared, prompt, each);
      together.add(request->sequence);
      requests.push_back(std::move(request));
    }
    while (together.step())
      ;
    for (const auto &[sequence, scores] :
         requests | std::views::transform(
                        [](const auto &p) -> Request & { return *p; })) {
      const auto tokens = sequence->tokens();
      const GenerationOptions &asked = sequence->request();
      EXPECT_EQ(sequence->result().reason, FinishReason::Length);
      EXPECT_EQ(int64_t(tokens.size() - sequence->promptTokens()),
                asked.maxTokens);
      const size_t first = asked.scoresPrompt ? 1 : sequence->promptTokens();
      ASSERT_EQ(scores.size(), tokens.size() - first);
      for (size_t i = 0; i < scores.size(); ++i)
        expectScore(scores[i], {tokens.begin(), tokens.begin() + first + i},
                    tokens[first + i], size_t(*asked.logprobs));
      if (use == CacheUse::Off)
        EXPECT_EQ(sequence->result().cachedTokens, 0u);
      else if (asked.scoresPrompt)
        cached += sequence->result().cachedTokens;
    }
  }
  EXPECT_GT(cached, 50u);
}

TEST_F(SchedulerTest, PausedOnesWaitAndOthersGoOn) {
  std::atomic<bool> paused = false;
  GenerationOptions slow = options(10);
  slow.paused = &paused;
  const auto reader = add({1, 4}, slow);
  const auto other = add({1, 5}, options(20));
  scheduler.step();
  scheduler.step();
  paused = true;
  const size_t before = reader->tokens().size();
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(scheduler.step());
  EXPECT_EQ(reader->tokens().size(), before);
  EXPECT_EQ(other->tokens().size(), 2u + 7u);
  EXPECT_TRUE(scheduler.canAdvance());
  while (!other->isFinished())
    scheduler.step();
  EXPECT_FALSE(scheduler.canAdvance());
  EXPECT_TRUE(scheduler.step()); // nothing to do, but not the end
  paused = false;
  EXPECT_TRUE(scheduler.canAdvance());
  finish();
  EXPECT_EQ(reader->result().ids, fakeGreedy({1, 4}, 10));
}

/// A short prompt is read before the rest of a long one, but no prompt waits
/// for more than eight steps.
TEST_F(SchedulerTest, ShortPromptsGoFirst) {
  std::mt19937 random(8);
  const auto talking = add({1, 3}, options(90));
  scheduler.step();
  const auto longOne = add(randomPrompt(random, 60), options(1));
  scheduler.step();
  const auto shortOne = add(randomPrompt(random, 5), options(30));
  scheduler.step();
  EXPECT_FALSE(shortOne->inPrompt());
  EXPECT_TRUE(longOne->inPrompt());

  Session wide(model, {1, 0, 4});
  Scheduler crowd(wide);
  const auto waiting =
      std::make_shared<Sequence>(wide, randomPrompt(random, 60), options(1));
  crowd.add(waiting);
  int steps = 0;
  for (; !waiting->isFinished() && steps < 300; ++steps) {
    while (crowd.waiting() < 3)
      crowd.add(std::make_shared<Sequence>(wide, randomPrompt(random, 8),
                                           options(1)));
    crowd.step();
  }
  EXPECT_LT(steps, 8 * 9);
}

TEST_F(SchedulerTest, ScoresThatCannotBeAreRefused) {
  GenerationOptions each = options(0);
  EXPECT_EQ(errorOf([&] { sequence({1}, each); }),
            "number of tokens: expected at least 1, found 0");
  each.scoresPrompt = true;
  each.maxTokens = -1;
  EXPECT_EQ(errorOf([&] { sequence({1}, each); }),
            "number of tokens: expected at least 0, found -1");
  each.maxTokens = 0;
  each.logprobs = 21;
  EXPECT_EQ(errorOf([&] { sequence({1}, each); }),
            "logprobs: expected 0 to 20, found 21");
}

} // namespace
