// SPDX-License-Identifier: Apache-2.0
//
// From a document to tokens and verdicts; test/e2e/tasks.test compares texts
// with lm-evaluation-harness and sums with dumped logits.
#include "runtime/tasks/EvaluateTask.h"

#include "test/unit/runtime/FakeModel.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace fairy2;
using namespace fairy2::test;

namespace {

Question read(const std::string &task, const nlohmann::json &document) {
  return taskOf(task).read({document, "d.jsonl:3", "", JsonStyle::Fields});
}

std::string refusalOf(const std::string &task, const std::string &document) {
  return errorOf([&] { read(task, nlohmann::json::parse(document)); });
}

TEST(TasksTest, BadDocumentsAreNamed) {
  struct Bad {
    std::string task, document, error;
  };
  const Bad cases[] = {
      {"arc_easy", R"({"question": "q"})",
       "d.jsonl:3: field 'choices': expected an object, found nothing"},
      {"arc_easy",
       R"({"question": "q", "choices": {"text": ["a"], "label": []},
           "answerKey": "A"})",
       "d.jsonl:3: field 'choices.label': expected 1 labels, one for each "
       "text, found a list of 0 values"},
      {"arc_easy",
       R"({"question": "q", "choices": {"text": ["a"], "label": ["A"]},
           "answerKey": "C"})",
       "d.jsonl:3: field 'answerKey': expected the label of a choice, found "
       "\"C\""},
      {"arc_challenge", R"({"question": {"stem": 3, "choices": []}})",
       "d.jsonl:3: field 'question.stem': expected a string, found 3"},
      {"hellaswag",
       R"({"activity_label": "a", "ctx_a": "b", "ctx_b": "c", "endings": [],
           "label": 0})",
       "d.jsonl:3: field 'endings': expected at least one ending, found a list "
       "of 0 values"},
      {"hellaswag",
       R"({"activity_label": "a", "ctx_a": "b", "ctx_b": "c",
           "endings": ["x"], "label": ""})",
       "d.jsonl:3: field 'label': expected a number from 0 to 0, found \"\""},
      {"hellaswag",
       R"({"activity_label": "a", "ctx_a": "b", "ctx_b": "c",
           "endings": ["x"], "label": 1})",
       "d.jsonl:3: field 'label': expected an integer from 0 to 0, found 1"},
      {"piqa", R"({"goal": "g", "sol1": "a", "sol2": "b"})",
       "d.jsonl:3: field 'label': expected an integer from 0 to 1, found "
       "nothing"},
      {"piqa", R"({"goal": "g", "sol1": "a", "sol2": null, "label": 1})",
       "d.jsonl:3: field 'sol2': expected a string, found null"},
      {"winogrande",
       R"({"sentence": "no blank", "option1": "a", "option2": "b",
           "answer": "1"})",
       "d.jsonl:3: field 'sentence': expected a text with a _, found \"no "
       "blank\""},
      {"winogrande",
       R"({"sentence": "a _ b", "option1": "a", "option2": "b",
           "answer": ""})",
       "d.jsonl:3: field 'answer': expected \"1\" or \"2\", found \"\""},
      {"lambada_openai", R"({"txt": "a b"})",
       "d.jsonl:3: field 'text': expected a string, found nothing"},
  };
  for (const Bad &bad : cases)
    EXPECT_EQ(refusalOf(bad.task, bad.document), bad.error) << bad.document;
  EXPECT_THROW(taskOf("arc"), Error);
}

TEST(TasksTest, FilesAreReadWithTheirLines) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string &path) {
    return errorOf([&] {
             readQuestions(taskOf("piqa"), path, 0,
                           [](const Question &, const std::string &) {});
           })
        .substr(folder.file("").size());
  };
  const std::string line = R"({"goal": "g", "sol1": "a", "sol2": "b"})"
                           "\n";
  EXPECT_EQ(refusal(folder.write("a.jsonl", "\n" + line)),
            "a.jsonl:2: field 'label': expected an integer from 0 to 1, found "
            "nothing");
  EXPECT_EQ(refusal(folder.write("a.jsonl", "3\n")),
            "a.jsonl:1: expected an object, found 3");
  const std::string two = folder.write("b.jsonl", line + line);
  folder.write("b-labels.lst", "1\n");
  EXPECT_EQ(refusal(two),
            "b-labels.lst: expected a label for each document, found 1");
  folder.write("b-labels.lst", "1\nx\n");
  EXPECT_EQ(refusal(two), "b-labels.lst:2: expected a number, found \"x\"");
  folder.write("b-labels.lst", "1\n2\n");
  EXPECT_EQ(refusal(two),
            "b.jsonl:2: field 'label': expected an integer from 0 to 1, found "
            "2");
}

/// Letters, blank, and "xy" as one token.
std::string mergingTokenizer() {
  return R"({"version": "1.0", "added_tokens": [], "normalizer": null,
    "pre_tokenizer": null, "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "vocab": {"x": 0, "y": 1, "z": 2, " ": 3,
      "xy": 4, "<s>": 5}, "merges": ["x y"]}})";
}

TEST(TasksTest, WhatFollowsTheContextsTokensIsScored) {
  const auto tokenizer = Tokenizer::fromJson(mergingTokenizer(), "t");
  Manifest manifest;
  manifest.bosToken = 5;
  const auto encoded = [&](const std::string &context,
                           const std::string &continuation, BosRule rule) {
    return encodeChoice({context, continuation, ""}, *tokenizer, manifest,
                        rule);
  };
  using Ids = std::vector<int32_t>;
  ScoredTokens tokens = encoded("zx", " z", BosRule::Tokenizer);
  EXPECT_EQ(tokens.ids, (Ids{2, 0, 3, 2}));
  EXPECT_EQ(tokens.scored, 2U);
  // The token that reaches across belongs to the context.
  tokens = encoded("zx", "yz", BosRule::Never);
  EXPECT_EQ(tokens.ids, (Ids{2, 4, 2}));
  EXPECT_EQ(tokens.scored, 1U);
  // A blank at the end of the context does not.
  tokens = encoded("zx \xe3\x80\x80", "z", BosRule::Never);
  EXPECT_EQ(tokens.ids, encoded("zx", " \xe3\x80\x80z", BosRule::Never).ids);
  EXPECT_EQ(tokens.scored, tokens.ids.size() - 2);
  tokens = encoded("", " z", BosRule::Never);
  EXPECT_EQ(tokens.ids, (Ids{5, 3, 2}));
  EXPECT_EQ(tokens.scored, 2U);
  tokens = encoded("z", "x", BosRule::Always);
  EXPECT_EQ(tokens.ids, (Ids{5, 2, 0}));
  EXPECT_EQ(tokens.scored, 1U);
  // Blanks alone: there would be nothing before the first token.
  tokens = encoded("  ", "x", BosRule::Never);
  EXPECT_EQ(tokens.ids, (Ids{5, 3, 3, 0}));
  EXPECT_EQ(tokens.scored, 3U);
  EXPECT_THROW(encoded("zx", "y", BosRule::Never), Error);
  manifest.bosToken.reset();
  EXPECT_THROW(encoded("z", "x", BosRule::Always), Error);
  EXPECT_THROW(encoded("", "x", BosRule::Never), Error);
  manifest.eosTokens = {3};
  EXPECT_EQ(encoded("", "x", BosRule::Never).ids, (Ids{3, 0}));
}

TEST(TasksTest, TheFirstLargestSumIsTheAnswer) {
  const Question question{
      {{"", " ab", "ab"}, {"", " \xc3\xa9", "\xc3\xa9"}, {"", " abcd", "abcd"}},
      2};
  Sample sample;
  sample.sums = {-2, -2, -2};
  sample.greedy = {true, false, false};
  judge(taskOf("piqa"), question, sample);
  EXPECT_FALSE(sample.right);
  EXPECT_TRUE(
      sample.rightNormalized); // -1, -2, -0.5: \xc3\xa9 is one character
  sample.sums = {-3, -1.9, -1.5};
  judge(taskOf("piqa"), question, sample);
  EXPECT_TRUE(sample.right);
  judge(taskOf("lambada_openai"), question, sample);
  EXPECT_TRUE(sample.right);
}

/// The sum of a continuation from the fake model's formula, of the last
/// kFakePositions + 1 ids.
double expectedSum(std::vector<int32_t> ids, size_t scored) {
  if (ids.size() > size_t(kFakePositions) + 1)
    ids.erase(ids.begin(), ids.end() - kFakePositions - 1);
  double sum = 0;
  for (size_t i = ids.size() - scored; i < ids.size(); ++i) {
    const std::vector<float> logits =
        fakeLogits({ids.begin(), ids.begin() + ptrdiff_t(i)});
    double total = 0;
    for (const float logit : logits)
      total += std::exp(double(logit) - 1000);
    sum +=
        double(float(double(logits[size_t(ids[i])]) - 1000 - std::log(total)));
  }
  return sum;
}

TEST(TasksTest, SumsAreThoseOfEachChoiceAlone) {
  const TemporaryFolder folder;
  const auto model = Model::open(writeFakeModel(folder.file("m.so")));
  const std::string data = folder.write(
      "d.jsonl",
      R"({"sentence": "the fox saw _ in the wood", "option1": "a dog",)"
      R"( "option2": "a cat", "answer": "2"})"
      "\n"
      R"({"sentence": ")" +
          std::string(150, 'q') +
          R"( _ and then it went home", "option1": "the dog",)"
          R"( "option2": "he", "answer": "1"})"
          "\n");
  TaskOptions options;
  options.threads = 1;
  size_t compared = 0;
  options.onSample = [&](const Question &question, const std::string &,
                         const Sample &sample) {
    for (size_t i = 0; i < question.choices.size(); ++i) {
      const ScoredTokens tokens =
          encodeChoice(question.choices[i], model->tokenizer(),
                       model->manifest(), options.bos);
      EXPECT_EQ(tokens.ids.front(), kFakeBos);
      EXPECT_NEAR(sample.sums[i], expectedSum(tokens.ids, tokens.scored), 1e-4);
      ++compared;
    }
  };
  const Task &task = taskOf("winogrande");
  TaskPlan plan = planTask(*model, task, data, options);
  EXPECT_EQ(plan.documents, 2);
  EXPECT_EQ(plan.cut, 1);
  EXPECT_EQ(plan.longest, kFakePositions);
  std::vector<TaskFigure> figures =
      evaluateTask(model, task, data, plan, options);
  EXPECT_EQ(compared, 4U);
  ASSERT_EQ(figures.size(), 1U);
  EXPECT_TRUE(figures[0].standardError);
  options.limit = 1;
  plan = planTask(*model, task, data, options);
  EXPECT_EQ(plan.documents, 1);
  EXPECT_EQ(plan.cut, 0);
  EXPECT_FALSE(evaluateTask(model, task, data, plan, options)[0].standardError);
  EXPECT_THROW(planTask(*model, task, folder.write("e.jsonl", "\n"), options),
               Error);
}

} // namespace
