// SPDX-License-Identifier: Apache-2.0
//
// A scheduler over some slots of the fake model.
#pragma once

#include "runtime/Scheduler.h"
#include "runtime/Status.h"
#include "test/unit/runtime/FakeModel.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

namespace fairy2::test {

inline constexpr int32_t kSlots = 3;

class SchedulerTest : public testing::Test {
protected:
  SchedulerTest()
      : model(Model::open(writeFakeModel(folder.file("model.so")))),
        session(model, {1, 0, kSlots}), scheduler(session) {}

  std::shared_ptr<Sequence> sequence(std::vector<int32_t> prompt,
                                     const GenerationOptions &options) {
    return std::make_shared<Sequence>(session, std::move(prompt), options);
  }
  std::shared_ptr<Sequence> add(std::vector<int32_t> prompt,
                                const GenerationOptions &options) {
    auto added = sequence(std::move(prompt), options);
    scheduler.add(added);
    return added;
  }
  void finish() {
    while (scheduler.step())
      ;
  }
  /// What was drawn greedily after the prompt is what the formula gives.
  static void expectGreedy(const Sequence &sequence) {
    const auto all = sequence.tokens();
    const auto prompt = all.first(sequence.promptTokens());
    EXPECT_EQ(sequence.result().ids, fakeGreedy({prompt.begin(), prompt.end()},
                                                all.size() - prompt.size()));
  }
  static GenerationOptions options(int64_t tokens) {
    GenerationOptions result;
    result.maxTokens = tokens;
    result.ignoreEos = true;
    return result;
  }

  TemporaryFolder folder;
  std::shared_ptr<const Model> model;
  Session session;
  Scheduler scheduler;
};

inline std::vector<int32_t> randomPrompt(std::mt19937 &random, size_t size) {
  std::vector<int32_t> prompt(size);
  for (int32_t &token : prompt)
    token = int32_t(random() % kFakeVocab);
  return prompt;
}

} // namespace fairy2::test
