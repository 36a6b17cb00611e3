// SPDX-License-Identifier: Apache-2.0
//
// Batches, slots, positions and threads: whatever the way tokens are fed, the
// logits are those of the fake model's formula.
#include "runtime/Session.h"

#include "runtime/Cores.h"
#include "runtime/Status.h"
#include "test/unit/runtime/FakeModel.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include <sys/wait.h>
#include <unistd.h>

using namespace fairy2;
using namespace fairy2::test;

namespace {

std::vector<int32_t> randomTokens(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t &token : tokens)
    token = int32_t(random() % kFakeVocab);
  return tokens;
}

/// The parameter is the number of threads.
class SessionTest : public testing::TestWithParam<int> {
protected:
  void SetUp() override {
    if (size_t(GetParam()) > allowedCores().size())
      GTEST_SKIP() << "this machine has fewer cores";
    writeFakeModel(folder.file("model.so"));
    model = Model::open(folder.file("model.so"));
  }
  SessionOptions options(int32_t context = 0, int32_t slots = 1) const {
    return {GetParam(), context, slots};
  }

  TemporaryFolder folder;
  std::shared_ptr<const Model> model;
};
INSTANTIATE_TEST_SUITE_P(Threads, SessionTest, testing::Values(1, 2));

TEST_P(SessionTest, AnyCutOfTheTokensGivesTheSameLogits) {
  const std::vector<int32_t> tokens = randomTokens(61, 1);
  Session session(model, options());
  for (const size_t step : {1, 3, 8, 9, 61}) {
    session.reset(0);
    for (size_t begin = 0; begin < tokens.size(); begin += step) {
      const size_t size = std::min(step, tokens.size() - begin);
      std::vector<float> logits(size * kFakeVocab);
      session.eval(0, std::span(tokens).subspan(begin, size),
                   Session::Logits::All, logits.data());
      for (size_t i = 0; i < size; ++i) {
        const std::vector<float> row(logits.begin() + i * kFakeVocab,
                                     logits.begin() + (i + 1) * kFakeVocab);
        ASSERT_EQ(row,
                  fakeLogits({tokens.begin(), tokens.begin() + begin + i + 1}))
            << "token " << begin + i << ", " << step << " at a time";
      }
    }
    EXPECT_EQ(session.length(0), 61);
  }
}

TEST_P(SessionTest, LastAndNoLogits) {
  const std::vector<int32_t> tokens = randomTokens(20, 2);
  Session session(model, options());
  session.eval(0, std::span(tokens).first(11), Session::Logits::None, nullptr);
  std::vector<float> logits(kFakeVocab);
  session.eval(0, std::span(tokens).subspan(11), Session::Logits::Last,
               logits.data());
  EXPECT_EQ(logits, fakeLogits(tokens));
}

TEST_P(SessionTest, SlotsAreIndependent) {
  constexpr int32_t slots = 11; // more than a batch holds
  Session session(model, options(32, slots));
  std::vector<std::vector<int32_t>> texts(slots);
  for (int32_t slot = 0; slot < slots; ++slot) {
    texts[slot] = randomTokens(size_t(slot) + 1, uint32_t(slot));
    session.eval(slot, texts[slot], Session::Logits::None, nullptr);
  }
  for (int step = 0; step < 5; ++step) {
    std::vector<int32_t> order(slots), tokens;
    for (int32_t i = 0; i < slots; ++i) {
      order[i] = (i * 7 + step) % slots;
      tokens.push_back((i + step) % kFakeVocab);
      texts[order[i]].push_back(tokens.back());
    }
    std::vector<float> logits(slots * kFakeVocab);
    session.evalBatch(order, tokens, logits.data());
    for (int32_t i = 0; i < slots; ++i) {
      const std::vector<float> row(logits.begin() + i * kFakeVocab,
                                   logits.begin() + (i + 1) * kFakeVocab);
      ASSERT_EQ(row, fakeLogits(texts[order[i]]));
    }
  }
}

TEST_P(SessionTest, ResetKeepsThePrefix) {
  const std::vector<int32_t> tokens = randomTokens(30, 3);
  Session session(model, options());
  session.eval(0, tokens, Session::Logits::None, nullptr);
  session.reset(0, 10);
  EXPECT_EQ(session.length(0), 10);
  std::vector<int32_t> other(tokens.begin(), tokens.begin() + 10);
  other.push_back(5);
  std::vector<float> logits(kFakeVocab);
  session.eval(0, std::span(other).subspan(10), Session::Logits::Last,
               logits.data());
  EXPECT_EQ(logits, fakeLogits(other));
}

TEST_P(SessionTest, ContextEndsWhereItWasAskedTo) {
  const std::vector<int32_t> tokens = randomTokens(18, 4);
  Session session(model, options(17));
  EXPECT_EQ(session.context(), 17);
  try {
    session.eval(0, tokens, Session::Logits::None, nullptr);
    FAIL() << "expected an error";
  } catch (const StatusError &error) {
    EXPECT_EQ(error.status, FAIRY2_OUT_OF_CONTEXT);
    EXPECT_STREQ(error.what(),
                 "tokens: expected at most 17, the free positions "
                 "of slot 0 (context 17), found 18");
  }
  EXPECT_EQ(session.length(0), 0);
  session.eval(0, std::span(tokens).first(17), Session::Logits::None, nullptr);
  const std::vector<int32_t> slot = {0}, token = {1};
  EXPECT_EQ(errorOf([&] { session.evalBatch(slot, token, nullptr); }),
            "tokens: expected at most 0, the free positions of slot 0 (context "
            "17), found 1");
}

TEST_P(SessionTest, ContextsMeetWithoutOverlap) {
  Session session(model, options(16, 3));
  std::vector<std::vector<int32_t>> texts;
  for (int32_t slot = 0; slot < 3; ++slot) {
    texts.push_back(randomTokens(16, uint32_t(slot) + 9));
    session.eval(slot, texts.back(), Session::Logits::None, nullptr);
  }
  for (int32_t slot = 0; slot < 3; ++slot) {
    session.reset(slot, 15);
    std::vector<float> logits(kFakeVocab);
    session.eval(slot, std::span(texts[slot]).last(1), Session::Logits::Last,
                 logits.data());
    EXPECT_EQ(logits, fakeLogits(texts[slot]));
  }
}

TEST_P(SessionTest, BadCallsAreNamedAndChangeNothing) {
  Session session(model, options(32, 2));
  const std::vector<int32_t> good = {1, 2, 3}, low = {1, -1}, high = {32};
  const std::vector<int32_t> twice = {1, 1}, two = {4, 5};
  const auto none = Session::Logits::None;
  EXPECT_EQ(errorOf([&] { session.eval(0, low, none, nullptr); }),
            "tokens[1]: expected 0 to 31, found -1");
  EXPECT_EQ(errorOf([&] { session.eval(0, high, none, nullptr); }),
            "tokens[0]: expected 0 to 31, found 32");
  EXPECT_EQ(errorOf([&] { session.eval(0, {}, none, nullptr); }),
            "tokens: expected at least one, found none");
  EXPECT_EQ(errorOf([&] { session.eval(2, good, none, nullptr); }),
            "slot: expected 0 to 1, found 2");
  EXPECT_EQ(errorOf([&] { session.eval(-1, good, none, nullptr); }),
            "slot: expected 0 to 1, found -1");
  EXPECT_EQ(errorOf([&] { session.evalBatch(twice, two, nullptr); }),
            "slots: expected different slots, found 1 twice");
  EXPECT_EQ(errorOf([&] { session.evalBatch(twice, good, nullptr); }),
            "tokens: expected one for each of 2 slots, found 3");
  EXPECT_EQ(errorOf([&] { session.reset(0, 1); }),
            "length: expected 0 to 0, the filled positions of the slot, found "
            "1");
  EXPECT_EQ(session.length(0), 0);
  EXPECT_EQ(session.length(1), 0);
}

TEST_P(SessionTest, BadOptionsAreNamed) {
  const auto create = [&](SessionOptions options) {
    return errorOf([&] { Session session(model, options); });
  };
  const std::string cores = std::to_string(allowedCores().size());
  EXPECT_EQ(create({GetParam(), 101, 1}),
            "context: expected 1 to 100, found 101");
  EXPECT_EQ(create({GetParam(), -1, 1}),
            "context: expected 1 to 100, found -1");
  EXPECT_EQ(create({GetParam(), 16, 0}), "slots: expected 1 to 65536, found 0");
  EXPECT_EQ(create({100000, 16, 1}),
            "threads: expected 0 to " + cores +
                ", the cores this process may use, found 100000");
  EXPECT_EQ(create({-1, 16, 1}), "threads: expected 0 to " + cores +
                                     ", the cores this process may use, found "
                                     "-1");
}

/// The child has the session's memory and none of its threads.
TEST_P(SessionTest, AForkedChildGetsAnErrorAndDoesNotWait) {
  auto session = std::make_unique<Session>(model, options(32, 2));
  const std::vector<int32_t> tokens = {1, 2, 3};
  session->eval(0, tokens, Session::Logits::None, nullptr);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(20);
    const std::string message = errorOf(
        [&] { session->eval(0, tokens, Session::Logits::None, nullptr); });
    session.reset();
    _exit(message == "session: expected to be used by the process that made "
                     "it, found a forked child: make one there"
              ? 0
              : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  session->eval(1, tokens, Session::Logits::None, nullptr);
  EXPECT_EQ(session->length(1), 3);
}

TEST_P(SessionTest, ACopyContinuesAsTheOriginal) {
  const std::vector<int32_t> tokens = randomTokens(60, 6);
  Session session(model, options(0, 3));
  session.eval(0, std::span(tokens).first(40), Session::Logits::None, nullptr);
  session.eval(2, std::span(tokens).last(20), Session::Logits::None, nullptr);
  ASSERT_TRUE(session.canCopy());
  for (const int32_t length : {33, 0, 40}) {
    session.copy(0, 2, length);
    EXPECT_EQ(session.length(2), length);
    std::vector<float> logits(kFakeVocab);
    session.eval(2, std::span(tokens).subspan(size_t(length), 1),
                 Session::Logits::Last, logits.data());
    EXPECT_EQ(logits, fakeLogits({tokens.begin(), tokens.begin() + length + 1}))
        << length;
  }
  EXPECT_EQ(session.length(0), 40);
  session.copy(0, 0, 5);
  EXPECT_EQ(session.length(0), 5);
  EXPECT_EQ(errorOf([&] { session.copy(0, 1, 6); }),
            "length: expected 0 to 5, the filled positions of the slot, found "
            "6");
  EXPECT_EQ(errorOf([&] { session.copy(0, 3, 1); }),
            "slot: expected 0 to 2, found 3");

  writeFakeModel(folder.file("old.so"), [](nlohmann::json &manifest) {
    manifest["cache"].erase("planes");
  });
  Session old(Model::open(folder.file("old.so")), options(0, 2));
  EXPECT_FALSE(old.canCopy());
  EXPECT_EQ(errorOf([&] { old.copy(0, 1, 0); }),
            folder.file("old.so") +
                ": cache.planes: expected a list, found none: the model was "
                "compiled before slots could be copied");
}

/// Pages that are memory, of this process.
int64_t residentPages() {
  std::ifstream file("/proc/self/statm");
  int64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident;
}

TEST_P(SessionTest, AReleasedSlotIsNoMemory) {
  // Positions of 64 KiB, of which the fake model touches some bytes.
  writeFakeModel(folder.file("wide.so"), [](nlohmann::json &manifest) {
    manifest["cache"] = {{"bytes_per_position", 16 << 12}};
    manifest["model"]["max_positions"] = 1 << 16;
  });
  Session session(Model::open(folder.file("wide.so")), options(1 << 16, 2));
  // The fake model puts positions of 16 bytes one after the other.
  std::vector<int32_t> tokens(1 << 15, 3);
  session.eval(0, tokens, Session::Logits::None, nullptr);
  const int64_t before = residentPages();
  session.release(0);
  EXPECT_EQ(session.length(0), 0);
  EXPECT_LE(residentPages(), before - 100); // of 128
  std::vector<float> logits(kFakeVocab);
  session.eval(0, std::vector<int32_t>{4, 5}, Session::Logits::Last,
               logits.data());
  EXPECT_EQ(logits, fakeLogits({4, 5}));
}

TEST_P(SessionTest, ImpossibleMemoryIsAnError) {
  writeFakeModel(folder.file("huge.so"), [](nlohmann::json &manifest) {
    manifest["cache"] = {{"bytes_per_position", int64_t(1) << 48}};
  });
  const auto huge = Model::open(folder.file("huge.so"));
  EXPECT_EQ(errorOf([&] { Session session(huge, options(96, 65536)); }),
            "context: expected a KV cache that fits into memory, found 65536 "
            "slots of 96 positions");
  const std::string message =
      errorOf([&] { Session session(huge, options(16, 1)); });
  EXPECT_TRUE(
      message.starts_with("KV cache: cannot get 4503599627370496 bytes"))
      << message;
}

TEST(SessionDefaultsTest, AreTheModelsAndTheMachines) {
  const TemporaryFolder folder;
  const auto model = Model::open(writeFakeModel(folder.file("model.so")));
  Session session(model, {});
  EXPECT_EQ(session.context(), kFakePositions);
  EXPECT_EQ(session.slots(), 1);
  EXPECT_EQ(session.threads().size(), usableCores());
}

} // namespace
