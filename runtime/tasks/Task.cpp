// SPDX-License-Identifier: Apache-2.0
//
// The table of tasks.
#include "runtime/tasks/Task.h"

#include "runtime/support/Error.h"
#include "runtime/support/Words.h"

#include <algorithm>

namespace fairy2 {

std::span<const Task> allTasks() {
  using enum TaskMetric;
  static constexpr Task tasks[] = {
      {"arc_challenge", NormalizedChoices, readArc},
      {"arc_easy", NormalizedChoices, readArc},
      {"hellaswag", NormalizedChoices, readHellaswag},
      {"lambada_openai", LastWord, readLambada},
      {"piqa", NormalizedChoices, readPiqa, "-labels.lst"},
      {"winogrande", Choices, readWinogrande},
  };
  return tasks;
}

const Task &taskOf(const std::string &name) {
  const auto tasks = allTasks();
  const auto task = std::ranges::find(tasks, name, &Task::name);
  if (task != tasks.end())
    return *task;
  std::vector<std::string> names;
  for (const Task &known : tasks)
    names.emplace_back(known.name);
  throw Error("task: expected one of " + joined(names) + ", found " +
              quoteName(name) + didYouMean(name, names));
}

} // namespace fairy2
