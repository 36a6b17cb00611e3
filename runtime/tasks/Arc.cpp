// SPDX-License-Identifier: Apache-2.0
//
// ARC, easy and challenge: as Hugging Face has it,
//   {question, choices: {text: [..], label: [..]}, answerKey}
// and as AI2 published it,
//   {question: {stem, choices: [{text, label}, ..]}, answerKey}.
#include "runtime/tasks/Task.h"

#include <algorithm>

namespace fairy2 {
namespace {

struct Answers {
  std::vector<std::string> texts, labels;
};

Answers answersOf(const JsonField &document) {
  Answers answers;
  if (document["question"].isObject()) {
    for (const JsonField &choice : document["question"]["choices"].elements()) {
      answers.texts.push_back(choice["text"].string());
      answers.labels.push_back(choice["label"].string());
    }
    return answers;
  }
  const JsonField choices = document["choices"];
  for (const JsonField &text : choices["text"].elements())
    answers.texts.push_back(text.string());
  for (const JsonField &label : choices["label"].elements())
    answers.labels.push_back(label.string());
  if (answers.labels.size() != answers.texts.size())
    choices["label"].fail(std::to_string(answers.texts.size()) +
                          " labels, one for each text");
  return answers;
}

} // namespace

Question readArc(const JsonField &document) {
  const JsonField question = document["question"];
  const std::string stem =
      (question.isObject() ? question["stem"] : question).string();
  const Answers answers = answersOf(document);
  Question result;
  for (const std::string &text : answers.texts)
    result.choices.push_back(
        {"Question: " + stem + "\nAnswer:", " " + text, text});
  const JsonField key = document["answerKey"];
  const auto gold = std::ranges::find(answers.labels, key.string());
  if (gold == answers.labels.end())
    key.fail("the label of a choice");
  result.gold = size_t(gold - answers.labels.begin());
  return result;
}

} // namespace fairy2
