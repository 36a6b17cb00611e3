// SPDX-License-Identifier: Apache-2.0
//
// What programs read of a task: a question with its verdict, and the figures.
#pragma once

#include "runtime/tasks/EvaluateTask.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace fairy2 {

/// {task, place, acc, acc_norm?, gold?, choices: [{context, continuation, sum,
/// greedy, characters, bytes}]}.
nlohmann::ordered_json jsonOf(const Task &task, const std::string &place,
                              const Question &question, const Sample &sample);

/// {documents, cut, METRIC, METRIC_stderr, ..}; null for what one document
/// cannot tell.
nlohmann::ordered_json jsonOf(const TaskPlan &plan,
                              const std::vector<TaskFigure> &figures);

} // namespace fairy2
