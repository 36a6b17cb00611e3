// SPDX-License-Identifier: Apache-2.0
//
// A table for people, an object for programs, and a line for each question.
#include "tools/fairy2-eval/TaskReport.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/SameFile.h"
#include "runtime/support/Words.h"
#include "runtime/tasks/TaskJson.h"
#include "tools/ProgressBar.h"
#include "tools/Validators.h"
#include "tools/fairy2-eval/ReadableText.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace fairy2 {
namespace {

struct NamedTask {
  const Task *task;
  ReadableText file;
  TaskPlan plan;
};

/// Calls `action` so that its errors name the file as the user did.
template <typename Action> auto naming(const NamedTask &named, Action action) {
  try {
    return action();
  } catch (const std::exception &error) {
    throw Error(named.file.asGiven(error.what()));
  }
}

/// The task and the file of NAME=FILE.
std::pair<const Task *, std::string> taskAndFile(const std::string &word) {
  const size_t at = word.find('=');
  if (at == word.npos || at + 1 == word.size())
    throw Error("task: expected NAME=FILE, found " + quoteName(word));
  return {&taskOf(word.substr(0, at)), word.substr(at + 1)};
}

CLI::Validator taskWithFile() {
  return CLI::Validator(
      [](const std::string &word) -> std::string {
        try {
          taskAndFile(word);
          return "";
        } catch (const Error &error) {
          return error.what();
        }
      },
      "");
}

std::vector<NamedTask> namedTasks(const std::vector<std::string> &words) {
  std::vector<NamedTask> named;
  std::set<std::string_view> seen;
  for (const std::string &word : words) {
    const auto [task, file] = taskAndFile(word);
    if (!seen.insert(task->name).second)
      throw Error("task: expected each once, found " + std::string(task->name) +
                  " twice");
    named.push_back({task, ReadableText(file), {}});
  }
  return named;
}

void print(const Task &task, const TaskPlan &plan,
           const std::vector<TaskFigure> &figures) {
  for (const TaskFigure &figure : figures) {
    const bool isFirst = &figure == &figures.front();
    std::printf("%-15s %9s  %-10s %9.4f",
                isFirst ? std::string(task.name).c_str() : "",
                isFirst ? std::to_string(plan.documents).c_str() : "",
                figure.metric.c_str(), figure.value);
    if (figure.standardError)
      std::printf("  +- %.4f", *figure.standardError);
    std::printf("\n");
  }
  if (plan.cut)
    std::printf("%-15s %9lld  longer than the model's positions: their first "
                "tokens are left out\n",
                "", (long long)plan.cut);
}

} // namespace

void addTaskOptions(CLI::App &app, TaskArguments &arguments,
                    const std::vector<CLI::Option *> &ofTexts) {
  std::string names;
  for (const Task &task : allTasks())
    names += (names.empty() ? "" : ", ") + std::string(task.name);
  CLI::Option *task = addList(
      app, "--task", arguments.tasks, "NAME=FILE,..",
      "Questions to answer instead of a text, in .jsonl files; of " + names,
      taskWithFile());
  std::map<std::string, BosRule> rules;
  for (const BosRule rule :
       {BosRule::Tokenizer, BosRule::Never, BosRule::Always})
    rules[nameOf(rule)] = rule;
  CLI::Option *bos =
      app.add_option("--bos", arguments.options.bos,
                     "Which texts of a task begin with BOS: those that the "
                     "tokenizer gives one, none, or all")
          ->transform(CLI::Transformer(rules).description(""))
          ->type_name("tokenizer|never|always")
          ->default_str(nameOf(arguments.options.bos));
  CLI::Option *limit = app.add_option("--limit", arguments.options.limit,
                                      "Questions of each task; 0: all")
                           ->check(wholeNumber<int64_t>(0))
                           ->capture_default_str();
  CLI::Option *samples =
      app.add_option("--samples", arguments.samples,
                     "Where each question's texts, sums and verdict go, .jsonl")
          ->check(fileName());
  for (CLI::Option *option : {bos, limit, samples})
    option->needs(task);
  for (CLI::Option *option : ofTexts)
    task->excludes(option);
}

void reportTasks(const std::string &model, TaskArguments arguments, bool json) {
  std::vector<NamedTask> tasks = namedTasks(arguments.tasks);
  TaskOptions &options = arguments.options;
  std::optional<OutputFile> samples;
  if (!arguments.samples.empty()) {
    requireNotInput(arguments.samples, model);
    for (const NamedTask &named : tasks)
      requireNotInput(arguments.samples, named.file.path());
    samples.emplace(arguments.samples);
  }
  const std::shared_ptr<const Model> opened = Model::open(model);
  for (NamedTask &named : tasks) // before hours of work for the first
    named.plan = naming(named, [&] {
      return planTask(*opened, *named.task, named.file.path(), options);
    });

  nlohmann::ordered_json out;
  out["bos"] = nameOf(options.bos);
  if (!json)
    std::printf("%-15s %9s  %-10s %9s  --bos=%s\n", "task", "documents",
                "metric", "value", nameOf(options.bos));
  for (const NamedTask &named : tasks) {
    ProgressBar bar(std::string(named.task->name));
    options.onProgress = [&](int64_t done, int64_t total) {
      bar.show(done, total);
    };
    if (samples)
      options.onSample = [&](const Question &question, const std::string &place,
                             const Sample &sample) {
        const std::string line =
            jsonOf(*named.task, named.file.asGiven(place), question, sample)
                .dump() +
            "\n";
        samples->append(
            {reinterpret_cast<const uint8_t *>(line.data()), line.size()});
      };
    const std::vector<TaskFigure> figures = naming(named, [&] {
      return evaluateTask(opened, *named.task, named.file.path(), named.plan,
                          options);
    });
    if (json)
      out["tasks"][std::string(named.task->name)] = jsonOf(named.plan, figures);
    else
      print(*named.task, named.plan, figures);
  }
  if (samples)
    samples->commit();
  if (json)
    std::cout << out.dump() << '\n';
}

} // namespace fairy2
