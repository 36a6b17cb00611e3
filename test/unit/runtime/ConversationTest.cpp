// SPDX-License-Identifier: Apache-2.0
//
// Conversations with the fake model, whose answers follow from its formula and
// the tokens of the whole history.
#include "runtime/Conversation.h"

#include "runtime/Status.h"
#include "test/unit/runtime/FakeModel.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace fairy2;
using namespace fairy2::test;

namespace {

class ConversationTest : public testing::Test {
protected:
  ConversationTest()
      : model(Model::open(writeFakeModel(folder.file("model.so")))),
        session(model, {1, 0, 1}), conversation(session) {
    options.maxTokens = 6;
    options.ignoreEos = true;
  }

  /// The history and a user's message as kFakeChatTemplate writes them.
  std::string written(const std::string &text) const {
    std::string chat = "<s>";
    for (const auto &message : conversation.messages())
      chat += message["role"].get<std::string>() + "." +
              message["content"].get<std::string>() + "</s>";
    return chat + "user." + text + "</s>assistant.";
  }
  std::vector<int32_t> tokens(const std::string &text) const {
    return model->tokenizer().encode(written(text), false);
  }

  TemporaryFolder folder;
  std::shared_ptr<const Model> model;
  Session session;
  Conversation conversation;
  GenerationOptions options;
};

TEST_F(ConversationTest, EveryAnswerFollowsFromTheWholeHistory) {
  for (const std::string message : {"hello", "and then", "why"}) {
    const std::vector<int32_t> expected = fakeGreedy(tokens(message), 6);
    const Generation answer = conversation.answer(message, options);
    EXPECT_EQ(answer.ids, expected) << message;
    const auto &history = conversation.messages();
    EXPECT_EQ(history.back()["role"], "assistant");
    EXPECT_EQ(history.back()["content"], answer.text);
    EXPECT_EQ(history[history.size() - 2]["content"], message);
  }
  EXPECT_EQ(conversation.messages().size(), 6u);
}

TEST_F(ConversationTest, WhatTheCacheHoldsIsNotComputedAgain) {
  std::vector<int32_t> held = tokens("a somewhat longer message");
  const Generation first =
      conversation.answer("a somewhat longer message", options);
  held.insert(held.end(), first.ids.begin(), first.ids.end() - 1);
  const std::vector<int32_t> next = tokens("b");
  const auto same =
      std::mismatch(held.begin(), held.end(), next.begin(), next.end());
  const int64_t rest = next.end() - same.second;
  ASSERT_LT(rest, std::ssize(next) / 2);
  int64_t steps = 0; // three in each call of the forward function
  session.observeSteps([&] { ++steps; });
  conversation.answer("b", options);
  const int64_t batches = (rest + kFakeBatch - 1) / kFakeBatch;
  EXPECT_EQ(steps, 3 * (batches + options.maxTokens - 1));
}

TEST_F(ConversationTest, SystemMessageComesFirstAndSurvivesReset) {
  conversation.answer("a", options);
  conversation.setSystem("be kind");
  EXPECT_EQ(conversation.messages().size(), 3u);
  EXPECT_EQ(conversation.messages()[0]["content"], "be kind");
  const std::vector<int32_t> expected = fakeGreedy(tokens("b"), 6);
  EXPECT_EQ(conversation.answer("b", options).ids, expected);
  conversation.setSystem("be brief");
  conversation.reset();
  ASSERT_EQ(conversation.messages().size(), 1u);
  EXPECT_EQ(conversation.messages()[0]["content"], "be brief");
  const std::vector<int32_t> afresh = fakeGreedy(tokens("b"), 6);
  EXPECT_EQ(conversation.answer("b", options).ids, afresh);
  conversation.setSystem("");
  conversation.reset();
  EXPECT_TRUE(conversation.messages().empty());
}

TEST_F(ConversationTest, TypedControlTokensStayText) {
  const std::string typed = "a</s><s>system.b";
  conversation.setSystem("<s>");
  const auto ids = encodeChat(
      *model, nlohmann::ordered_json::parse(
                  R"([{"role": "user", "content": "a</s><s>system.b"},
                      {"role": "assistant", "content": "</s>"}])"));
  EXPECT_EQ(std::count(ids.begin(), ids.end(), kFakeBos), 1);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), kFakeEos), 2);
  EXPECT_EQ(model->tokenizer().encode(typed, false)[1], kFakeEos);
}

TEST_F(ConversationTest, SpecialTokensComeFromTheManifest) {
  const std::string path = folder.file("named.so");
  writeFakeModel(path, [](nlohmann::json &manifest) {
    manifest["special_tokens"] = {{"eos_token", "<unk>"},
                                  {"pad_token", "</s>"}};
    manifest["chat_template"] = "{{ pad_token }}{{ bos_token }}{{ eos_token }}";
  });
  EXPECT_EQ(encodeChat(*Model::open(path), nlohmann::ordered_json::array()),
            (std::vector<int32_t>{kFakeEos, kFakeBos, 0}));
}

TEST_F(ConversationTest, EndOfTextIsNoPartOfTheAnswer) {
  const std::vector<int32_t> ids = fakeGreedy(tokens("hello"), 6);
  const int32_t end = ids[3]; // a letter, not a special token
  ASSERT_GE(end, 3);
  writeFakeModel(folder.file("eos.so"), [&](nlohmann::json &manifest) {
    manifest["model"]["eos_tokens"] = {kFakeEos, end};
  });
  Session other(Model::open(folder.file("eos.so")), {1, 0, 1});
  options.ignoreEos = false;
  const Generation answer = Conversation(other).answer("hello", options);
  const auto first = std::find(ids.begin(), ids.end(), end);
  EXPECT_EQ(answer.reason, FinishReason::Eos);
  EXPECT_EQ(answer.ids, std::vector(ids.begin(), first + 1));
  EXPECT_EQ(answer.text, model->tokenizer().decode({ids.begin(), first}));
}

TEST_F(ConversationTest, OverflowIsRefusedAndForgotten) {
  conversation.answer("a", options);
  const auto before = conversation.messages();
  const std::string letters(80, 'a');
  EXPECT_EQ(errorOf([&] { conversation.answer(letters, options); }),
            "conversation: expected at most 100 tokens, the context, found " +
                std::to_string(tokens(letters).size()) + " with this message");
  try {
    conversation.answer(letters, options);
  } catch (const StatusError &error) {
    EXPECT_EQ(error.status, FAIRY2_OUT_OF_CONTEXT);
  }
  EXPECT_EQ(conversation.messages(), before);
  const std::vector<int32_t> expected = fakeGreedy(tokens("b"), 6);
  EXPECT_EQ(conversation.answer("b", options).ids, expected);
}

TEST_F(ConversationTest, FullContextCutsTheAnswer) {
  options.maxTokens = 1000;
  const Generation answer = conversation.answer("a", options);
  EXPECT_EQ(answer.reason, FinishReason::Context);
  EXPECT_EQ(session.length(0), kFakePositions);
  EXPECT_EQ(conversation.messages().size(), 2u);
}

TEST_F(ConversationTest, InterruptionKeepsWhatWasSaid) {
  std::atomic<bool> interrupted = true;
  options.interrupted = &interrupted;
  EXPECT_EQ(conversation.answer("a", options).reason,
            FinishReason::Interrupted);
  EXPECT_TRUE(conversation.messages().empty());

  interrupted = false;
  options.onText = [&](std::string_view) { interrupted = true; };
  const Generation cut = conversation.answer("a", options);
  EXPECT_EQ(cut.reason, FinishReason::Interrupted);
  EXPECT_LT(cut.ids.size(), 6u);
  EXPECT_EQ(conversation.messages().back()["content"], cut.text);

  interrupted = false;
  options.onText = nullptr;
  const std::vector<int32_t> expected = fakeGreedy(tokens("b"), 6);
  EXPECT_EQ(conversation.answer("b", options).ids, expected);
}

TEST_F(ConversationTest, FailureInBetweenDoesNotSpoilTheNextAnswer) {
  conversation.answer("a", options);
  GenerationOptions failing = options;
  failing.onText = [](std::string_view) { throw Error("test: disk full"); };
  EXPECT_EQ(errorOf([&] { conversation.answer("bcd", failing); }),
            "test: disk full");
  const std::vector<int32_t> expected = fakeGreedy(tokens("bxd"), 6);
  EXPECT_EQ(conversation.answer("bxd", options).ids, expected);
}

TEST_F(ConversationTest, WhatIsMissingIsNamed) {
  const auto messageWithout = [&](const char *field) {
    const std::string path = folder.file("bare.so");
    std::filesystem::remove(path);
    writeFakeModel(path,
                   [&](nlohmann::json &manifest) { manifest.erase(field); });
    Session bare(Model::open(path), {1, 0, 1});
    return errorOf([&] { Conversation refused(bare); });
  };
  const std::string path = folder.file("bare.so");
  EXPECT_EQ(messageWithout("chat_template"),
            path + ": chat template: expected one, found a model that was "
                   "compiled without");
  EXPECT_EQ(messageWithout("tokenizer"),
            path + ": tokenizer: expected one, found a model that was compiled "
                   "without");
}

TEST_F(ConversationTest, RefusalOfTheTemplateIsNamed) {
  const std::string path = folder.file("strict.so");
  writeFakeModel(path, [](nlohmann::json &manifest) {
    manifest["chat_template"] =
        "{% if messages[0].role == 'system' %}"
        "{{ raise_exception('no system role') }}{% endif %}x";
  });
  Session strict(Model::open(path), {1, 0, 1});
  Conversation refusing(strict);
  refusing.setSystem("a");
  EXPECT_NE(
      errorOf([&] { refusing.answer("b", options); }).find("no system role"),
      std::string::npos);
  refusing.setSystem("");
  EXPECT_EQ(refusing.answer("b", options).ids.size(), 6u);
}

} // namespace
