// SPDX-License-Identifier: Apache-2.0
//
// The tokens that the choices of a question share are computed once.
#include "runtime/tasks/EvaluateTask.h"

#include "runtime/Likelihood.h"
#include "runtime/Session.h"
#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace fairy2 {
namespace {

std::vector<ScoredTokens> encodeChoices(const Model &model,
                                        const Question &question,
                                        const std::string &place,
                                        BosRule rule) {
  std::vector<ScoredTokens> choices;
  for (const Choice &choice : question.choices)
    try {
      choices.push_back(
          encodeChoice(choice, model.tokenizer(), model.manifest(), rule));
    } catch (const Error &error) {
      throw Error(place + ": choice " + std::to_string(choices.size()) + ": " +
                  error.what());
    }
  return choices;
}

/// Keeps the last `positions` inputs and what they predict. Returns whether
/// that is less than all.
bool cut(ScoredTokens &tokens, int32_t positions) {
  const size_t kept = size_t(positions) + 1;
  if (tokens.ids.size() <= kept)
    return false;
  tokens.ids.erase(tokens.ids.begin(), tokens.ids.end() - ptrdiff_t(kept));
  tokens.scored = std::min(tokens.scored, kept - 1);
  return true;
}

/// Of the inputs of all choices, how many first ones are the same and score
/// nothing.
size_t sharedInputs(std::span<const ScoredTokens> choices) {
  const std::vector<int32_t> &first = choices.front().ids;
  size_t shared = first.size();
  for (const ScoredTokens &choice : choices) {
    const size_t most = std::min(shared, choice.ids.size() - choice.scored - 1);
    shared =
        size_t(std::mismatch(first.begin(), first.begin() + ptrdiff_t(most),
                             choice.ids.begin())
                   .first -
               first.begin());
  }
  return shared;
}

class Asker {
public:
  Asker(const std::shared_ptr<const Model> &model,
        const SessionOptions &options)
      : session(model, options),
        logits(size_t(model->manifest().batch) * size_t(session.vocabSize())) {}

  Sample ask(std::span<const ScoredTokens> choices) {
    Sample sample;
    session.reset(0);
    const size_t shared = sharedInputs(choices);
    compute(std::span(choices.front().ids).first(shared));
    for (const ScoredTokens &choice : choices) {
      session.reset(0, int32_t(shared));
      const size_t first = choice.ids.size() - choice.scored - 1;
      compute(std::span(choice.ids).subspan(shared, first - shared));
      score(std::span(choice.ids).subspan(first), sample);
    }
    return sample;
  }

private:
  void compute(std::span<const int32_t> inputs) {
    if (!inputs.empty())
      session.eval(0, inputs, Session::Logits::None, nullptr);
  }

  /// Each but the first of the tokens is predicted.
  void score(std::span<const int32_t> tokens, Sample &sample) {
    const auto vocab = size_t(session.vocabSize());
    const auto batch = size_t(session.model().manifest().batch);
    const size_t count = tokens.size() - 1;
    std::vector<float> terms(count);
    std::vector<uint8_t> greedy(count);
    for (size_t begin = 0; begin < count; begin += batch) {
      const size_t size = std::min(batch, count - begin);
      session.eval(0, tokens.subspan(begin, size), Session::Logits::All,
                   logits.data());
      session.threads().run([&](int thread, int threads) {
        for (size_t row = size_t(thread); row < size; row += size_t(threads)) {
          const auto found = std::span(logits).subspan(row * vocab, vocab);
          const int32_t target = tokens[begin + row + 1];
          terms[begin + row] = float(-negativeLogLikelihood(found, target));
          greedy[begin + row] = mostLikely(found) == target;
        }
      });
    }
    double sum = 0;
    for (const float term : terms)
      sum += double(term);
    if (std::isnan(sum))
      throw Error(session.model().path() +
                  ": logits: expected finite values, found NaN or infinity");
    sample.sums.push_back(sum);
    sample.greedy.push_back(std::ranges::count(greedy, 0) == 0);
  }

  Session session;
  std::vector<float> logits;
};

TaskFigure meanOf(const char *metric, std::span<const double> values) {
  const auto count = double(values.size());
  double sum = 0, squares = 0;
  for (const double value : values)
    sum += value;
  const double mean = sum / count;
  for (const double value : values)
    squares += (value - mean) * (value - mean);
  TaskFigure figure{metric, mean, {}};
  if (values.size() > 1)
    figure.standardError = std::sqrt(squares / (count - 1)) / std::sqrt(count);
  return figure;
}

} // namespace

size_t charactersOf(const Choice &choice) {
  return size_t(std::ranges::count_if(
      choice.answer, [](char byte) { return !isContinuation(byte); }));
}

void judge(const Task &task, const Question &question, Sample &sample) {
  if (task.metric == TaskMetric::LastWord) {
    sample.right = sample.greedy.front();
    return;
  }
  const auto isGold = [&](const std::vector<double> &values) {
    return size_t(std::ranges::max_element(values) - values.begin()) ==
           question.gold;
  };
  sample.right = isGold(sample.sums);
  std::vector<double> normalized = sample.sums;
  for (size_t i = 0; i < normalized.size(); ++i)
    normalized[i] /= double(charactersOf(question.choices[i]));
  sample.rightNormalized = isGold(normalized);
}

TaskPlan planTask(const Model &model, const Task &task, const std::string &path,
                  const TaskOptions &options) {
  TaskPlan plan;
  readQuestions(task, path, options.limit,
                [&](const Question &question, const std::string &place) {
                  bool isCut = false;
                  for (ScoredTokens &tokens :
                       encodeChoices(model, question, place, options.bos)) {
                    isCut |= cut(tokens, model.manifest().maxPositions);
                    plan.longest =
                        std::max(plan.longest, std::ssize(tokens.ids) - 1);
                  }
                  ++plan.documents;
                  plan.cut += isCut;
                });
  if (plan.documents == 0)
    throw Error(path + ": expected at least one document, found none");
  return plan;
}

std::vector<TaskFigure> evaluateTask(std::shared_ptr<const Model> model,
                                     const Task &task, const std::string &path,
                                     const TaskPlan &plan,
                                     const TaskOptions &options) {
  SessionOptions sessionOptions;
  sessionOptions.threads = options.threads;
  sessionOptions.hugePages = options.hugePages;
  sessionOptions.context = int32_t(plan.longest);
  Asker asker(model, sessionOptions);
  std::vector<double> right, rightNormalized, sums;
  readQuestions(task, path, options.limit,
                [&](const Question &question, const std::string &place) {
                  std::vector<ScoredTokens> choices =
                      encodeChoices(*model, question, place, options.bos);
                  for (ScoredTokens &tokens : choices)
                    cut(tokens, model->manifest().maxPositions);
                  Sample sample = asker.ask(choices);
                  judge(task, question, sample);
                  right.push_back(sample.right);
                  rightNormalized.push_back(sample.rightNormalized);
                  sums.push_back(sample.sums.front());
                  if (options.onSample)
                    options.onSample(question, place, sample);
                  if (options.onProgress)
                    options.onProgress(int64_t(right.size()), plan.documents);
                });
  std::vector<TaskFigure> figures = {meanOf("acc", right)};
  if (task.metric == TaskMetric::NormalizedChoices)
    figures.push_back(meanOf("acc_norm", rightNormalized));
  if (task.metric == TaskMetric::LastWord)
    figures.push_back({"perplexity", std::exp(-meanOf("", sums).value), {}});
  return figures;
}

} // namespace fairy2
