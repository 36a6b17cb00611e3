// SPDX-License-Identifier: Apache-2.0
//
// fairy2-eval --task: its options, and what it prints.
#pragma once

#include "runtime/tasks/EvaluateTask.h"

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

namespace fairy2 {

struct TaskArguments {
  std::vector<std::string> tasks; ///< NAME=FILE
  std::string samples;            ///< empty: none are written
  TaskOptions options;
};

/// Adds --task, --bos, --limit and --samples, which exclude those of a text.
void addTaskOptions(CLI::App &app, TaskArguments &arguments,
                    const std::vector<CLI::Option *> &ofTexts);

/// Evaluates all tasks, and prints a table or one JSON object. Throws Error.
void reportTasks(const std::string &model, TaskArguments arguments, bool json);

} // namespace fairy2
