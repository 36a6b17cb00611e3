// SPDX-License-Identifier: Apache-2.0
//
// Generation with the fake model, whose greedy text follows from its formula.
#include "runtime/Generate.h"

#include "test/unit/runtime/FakeModel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <utility>

using namespace fairy2;
using namespace fairy2::test;

namespace {

class GenerateTest : public testing::Test {
protected:
  GenerateTest()
      : model(Model::open(writeFakeModel(folder.file("model.so")))),
        session(model, {1, 0, 1}) {}

  TemporaryFolder folder;
  std::shared_ptr<const Model> model;
  Session session;
  const std::vector<int32_t> prompt = {1, 5, 6, 7, 8, 9, 10, 11, 12, 13};
};

TEST_F(GenerateTest, GreedyIdsFollowTheFormula) {
  GenerationOptions options;
  options.maxTokens = 40;
  options.ignoreEos = true;
  const Generation result = generate(session, prompt, options);
  EXPECT_EQ(result.ids, fakeGreedy(prompt, 40));
  EXPECT_EQ(result.reason, FinishReason::Length);
  EXPECT_EQ(result.text, model->tokenizer().decode(result.ids));
  EXPECT_GT(result.promptTokensPerSecond, 0);
  EXPECT_GT(result.tokensPerSecond, 0);
  // A session starts afresh every time.
  EXPECT_EQ(generate(session, prompt, options).ids, result.ids);
}

TEST_F(GenerateTest, StreamedPiecesAreTheText) {
  GenerationOptions options;
  options.maxTokens = 40;
  options.ignoreEos = true;
  std::string streamed;
  options.onText = [&](std::string_view piece) { streamed += piece; };
  EXPECT_EQ(generate(session, prompt, options).text, streamed);
  EXPECT_FALSE(streamed.empty());
}

TEST_F(GenerateTest, EndsAtEos) {
  const std::vector<int32_t> ids = fakeGreedy(prompt, 30);
  const int32_t end = ids[4];
  const size_t first =
      size_t(std::find(ids.begin(), ids.end(), end) - ids.begin());
  writeFakeModel(folder.file("eos.so"), [&](nlohmann::json &manifest) {
    manifest["model"]["eos_tokens"] = {end};
  });
  Session other(Model::open(folder.file("eos.so")), {1, 0, 1});
  const Generation result = generate(other, prompt, {});
  EXPECT_EQ(result.reason, FinishReason::Eos);
  EXPECT_EQ(result.ids, std::vector(ids.begin(), ids.begin() + first + 1));
  GenerationOptions options;
  options.maxTokens = 30;
  options.ignoreEos = true;
  EXPECT_EQ(generate(other, prompt, options).ids, ids);
}

TEST_F(GenerateTest, EndsBeforeAStopStringAcrossTokens) {
  GenerationOptions options;
  options.maxTokens = 40;
  options.ignoreEos = true;
  const std::string text = generate(session, prompt, options).text;
  ASSERT_GT(text.size(), 12u);
  const std::string stop = text.substr(8, 3); // three tokens of one letter
  options.stops = {"never", stop};
  const Generation result = generate(session, prompt, options);
  EXPECT_EQ(result.reason, FinishReason::Stop);
  EXPECT_EQ(result.text, text.substr(0, text.find(stop)));
}

TEST_F(GenerateTest, EndsWithTheContext) {
  Session small(model, {1, 16, 1});
  GenerationOptions options;
  options.ignoreEos = true;
  const Generation result = generate(small, prompt, options);
  EXPECT_EQ(result.reason, FinishReason::Context);
  // Six more positions, and the token that follows from the last of them.
  EXPECT_EQ(result.ids, fakeGreedy(prompt, 7));
}

TEST_F(GenerateTest, InterruptionKeepsWhatThereIs) {
  std::atomic<bool> interrupted = false;
  GenerationOptions options;
  options.ignoreEos = true;
  options.interrupted = &interrupted;
  options.onText = [&](std::string_view) { interrupted = true; };
  const Generation result = generate(session, prompt, options);
  EXPECT_EQ(result.reason, FinishReason::Interrupted);
  EXPECT_FALSE(result.text.empty());
  EXPECT_LT(result.ids.size(), 10u);
  // Still set: not even the prompt is read.
  EXPECT_TRUE(generate(session, prompt, options).ids.empty());
}

TEST_F(GenerateTest, CachedTokensAreNotComputedAgain) {
  GenerationOptions options;
  options.maxTokens = 4;
  options.ignoreEos = true;
  const std::vector<int32_t> expected = generate(session, prompt, options).ids;
  // The fake's forward function meets three times; the last meeting is not
  // seen. A batch has 8 tokens, the prompt 10.
  int64_t steps = 0;
  session.observeSteps([&] { ++steps; });
  const auto passes = [&] {
    const int64_t before = std::exchange(steps, 0);
    EXPECT_EQ(generate(session, prompt, options).ids, expected);
    return std::exchange(steps, before) / 3;
  };
  for (const int32_t cached : {0, 1, 2, 9, 10}) {
    session.reset(0, cached);
    EXPECT_EQ(passes(), (cached < 2 ? 2 : 1) + 3) << cached;
  }
  // Another token in between ends what is kept.
  session.reset(0, 1);
  session.eval(0, std::vector<int32_t>{31, 6, 7}, Session::Logits::None,
               nullptr);
  EXPECT_EQ(passes(), 2 + 3);
  // For their logits all of them are computed.
  options.logitsOut = folder.file("l.npy");
  EXPECT_EQ(passes(), 2 + 3);
}

TEST_F(GenerateTest, SeedsRepeat) {
  GenerationOptions options;
  options.ignoreEos = true;
  options.maxTokens = 30;
  options.sampling.temperature = 300; // the fake logits are far apart
  options.sampling.seed = 5;
  const auto first = generate(session, prompt, options).ids;
  EXPECT_EQ(generate(session, prompt, options).ids, first);
  options.sampling.seed = 6;
  EXPECT_NE(generate(session, prompt, options).ids, first);
}

TEST_F(GenerateTest, PromptLogitsGoToTheFile) {
  GenerationOptions options;
  options.ignoreEos = true;
  options.maxTokens = 5;
  options.logitsOut = folder.file("logits.npy");
  EXPECT_EQ(generate(session, prompt, options).ids, fakeGreedy(prompt, 5));
  const std::string content = readFile(folder.file("logits.npy"));
  EXPECT_NE(content.find("(10, 32)"), std::string::npos);
  ASSERT_EQ(content.size(), 128 + prompt.size() * kFakeVocab * sizeof(float));
  for (size_t i = 0; i < prompt.size(); ++i) {
    std::vector<float> row(kFakeVocab);
    std::memcpy(row.data(),
                content.data() + 128 + i * kFakeVocab * sizeof(float),
                kFakeVocab * sizeof(float));
    EXPECT_EQ(row, fakeLogits({prompt.begin(), prompt.begin() + i + 1}));
  }
}

TEST_F(GenerateTest, BadRequestsAreNamed) {
  const auto messageOf = [&](const std::vector<int32_t> &ids, auto edit) {
    GenerationOptions options;
    edit(options);
    return errorOf([&] { generate(session, ids, options); });
  };
  const auto asIs = [](GenerationOptions &) {};
  EXPECT_EQ(messageOf({}, asIs),
            "prompt: expected at least one token, found none");
  EXPECT_EQ(messageOf(std::vector<int32_t>(101, 1), asIs),
            "prompt: expected at most 100 tokens, the context, found 101");
  EXPECT_EQ(messageOf({1, 99}, asIs), "tokens[1]: expected 0 to 31, found 99");
  for (const int count : {0, -3})
    EXPECT_EQ(
        messageOf(prompt, [&](GenerationOptions &o) { o.maxTokens = count; }),
        "number of tokens: expected at least 1, found " +
            std::to_string(count));
  EXPECT_EQ(
      messageOf(prompt, [](GenerationOptions &o) { o.sampling.topK = -1; }),
      "top_k: expected at least 0, found -1");
  EXPECT_EQ(messageOf(prompt, [](GenerationOptions &o) { o.stops = {""}; }),
            "stop: expected text, found an empty string");
}

/// A bad id deep in the prompt is found before anything is written.
TEST_F(GenerateTest, FailureLeavesNoLogitsFile) {
  GenerationOptions options;
  options.logitsOut = folder.file("logits.npy");
  std::vector<int32_t> ids(30, 3);
  ids[25] = 77;
  EXPECT_EQ(errorOf([&] { generate(session, ids, options); }),
            "tokens[25]: expected 0 to 31, found 77");
  EXPECT_FALSE(std::filesystem::exists(folder.file("logits.npy")));
}

TEST_F(GenerateTest, WithoutTokenizerThereAreIdsOnly) {
  writeFakeModel(folder.file("bare.so"),
                 [](nlohmann::json &manifest) { manifest.erase("tokenizer"); });
  const auto bare = Model::open(folder.file("bare.so"));
  Session other(bare, {1, 0, 1});
  GenerationOptions options;
  options.maxTokens = 8;
  options.ignoreEos = true;
  const Generation result = generate(other, prompt, options);
  EXPECT_EQ(result.ids, fakeGreedy(prompt, 8));
  EXPECT_EQ(result.text, "");
  const auto json = nlohmann::json::parse(jsonOf(result, prompt, *bare));
  EXPECT_TRUE(json["text"].is_null());
  EXPECT_EQ(json["ids"], result.ids);
  EXPECT_EQ(json["prompt_ids"], prompt);
  EXPECT_EQ(json["finish_reason"], "length");
  options.stops = {"x"};
  EXPECT_EQ(errorOf([&] { generate(other, prompt, options); }),
            folder.file("bare.so") +
                ": tokenizer: expected one to find stop strings, found a model "
                "that was compiled without");
}

/// Of byte tokens text is certain only when their run ends, which may be in
/// what follows the prompt.
TEST_F(GenerateTest, TextThatGoesOnHasNothingOfThePrompts) {
  nlohmann::json tokenizer = nlohmann::json::parse(fakeTokenizer());
  nlohmann::json &vocabulary = tokenizer["model"]["vocab"];
  const auto rename = [&](const char *from, const char *to) {
    vocabulary[to] = vocabulary[from];
    vocabulary.erase(from);
    return vocabulary[to].get<int32_t>();
  };
  const int32_t newline = rename("\n", "<0x0A>");
  const int32_t first = rename("x", "<0xC3>"), second = rename("y", "<0xA9>");
  const int32_t a = vocabulary["a"];
  tokenizer["model"]["byte_fallback"] = true;
  tokenizer["decoder"] = {
      {"type", "Sequence"},
      {"decoders", {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}};
  const auto bytes = Model::open(writeFakeModel(
      folder.file("bytes.so"), fakeImage(), {}, tokenizer.dump()));
  const Session other(bytes, {1, 0, 1});
  const auto textAfter = [&](std::vector<int32_t> ids,
                             const std::vector<int32_t> &drawn) {
    GenerationOptions options;
    options.continuesText = true;
    options.stops = {"\n\n"};
    Sequence sequence(other, std::move(ids), options);
    sequence.begin(0);
    for (const int32_t id : drawn)
      if (!sequence.isFinished())
        sequence.append({id}, false);
    if (!sequence.isFinished())
      sequence.interrupt();
    return sequence.result().text;
  };
  EXPECT_EQ(textAfter({a, newline}, {a, a}), "aa");
  EXPECT_EQ(textAfter({a, newline, newline}, {a}), "a");
  EXPECT_EQ(textAfter({a, newline}, {newline, a}), "\na");
  EXPECT_EQ(textAfter({a, newline}, {}), "");
  EXPECT_EQ(textAfter({a, first}, {second, a}), "\u00e9a");
  EXPECT_EQ(textAfter({a}, {newline, newline, a}), "");
}

} // namespace
