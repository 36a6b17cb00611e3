// SPDX-License-Identifier: Apache-2.0
//
// Keys in a fixed order, as people read them.
#include "runtime/tasks/TaskJson.h"

namespace fairy2 {

nlohmann::ordered_json jsonOf(const Task &task, const std::string &place,
                              const Question &question, const Sample &sample) {
  nlohmann::ordered_json line;
  line["task"] = task.name;
  line["place"] = place;
  line["acc"] = sample.right;
  if (task.metric == TaskMetric::NormalizedChoices)
    line["acc_norm"] = sample.rightNormalized;
  if (task.metric != TaskMetric::LastWord)
    line["gold"] = question.gold;
  for (size_t i = 0; i < question.choices.size(); ++i) {
    const Choice &choice = question.choices[i];
    line["choices"].push_back({{"context", choice.context},
                               {"continuation", choice.continuation},
                               {"sum", sample.sums[i]},
                               {"greedy", bool(sample.greedy[i])},
                               {"characters", charactersOf(choice)},
                               {"bytes", choice.answer.size()}});
  }
  return line;
}

nlohmann::ordered_json jsonOf(const TaskPlan &plan,
                              const std::vector<TaskFigure> &figures) {
  nlohmann::ordered_json out;
  out["documents"] = plan.documents;
  out["cut"] = plan.cut;
  for (const TaskFigure &figure : figures) {
    out[figure.metric] = figure.value;
    if (figure.metric != "perplexity")
      out[figure.metric + "_stderr"] =
          figure.standardError ? nlohmann::ordered_json(*figure.standardError)
                               : nlohmann::ordered_json(nullptr);
  }
  return out;
}

} // namespace fairy2
