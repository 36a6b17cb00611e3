// SPDX-License-Identifier: Apache-2.0
//
// How many questions of a task a model answers as the data set does.
#pragma once

#include "runtime/Model.h"
#include "runtime/WeightMapping.h"
#include "runtime/tasks/Questions.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fairy2 {

/// What a model says to a question.
struct Sample {
  /// log p of each choice's continuation: float32 terms, added in double in
  /// their order.
  std::vector<double> sums;
  /// Whether each token of it is the most likely one.
  std::vector<bool> greedy;
  bool right = false; ///< acc
  bool rightNormalized = false;
};

/// Code points of the answer, which acc_norm divides by.
size_t charactersOf(const Choice &choice);

/// The right ones among `sums`: the first largest is the gold one, of the sums
/// themselves and divided by the answers' code points. Of a last word: whether
/// it is greedy.
void judge(const Task &task, const Question &question, Sample &sample);

struct TaskOptions {
  BosRule bos = BosRule::Tokenizer;
  int64_t limit = 0;   ///< questions to ask; 0: all
  int32_t threads = 0; ///< 0: as many usable cores as pay
  HugePages hugePages = HugePages::Auto;
  std::function<void(int64_t done, int64_t total)> onProgress;
  std::function<void(const Question &question, const std::string &place,
                     const Sample &sample)>
      onSample;
};

struct TaskFigure {
  std::string metric; ///< acc, acc_norm, perplexity
  double value = 0;
  /// The sample deviation over sqrt(documents), of means of at least two.
  std::optional<double> standardError;
};

/// The size of a task.
struct TaskPlan {
  int64_t documents = 0;
  int64_t cut = 0;     ///< of these, longer than the model's positions
  int64_t longest = 0; ///< of all sequences, in positions
};

/// Reads all that `options` ask for, without computing anything. Throws Error
/// that names file, line and field, also when there is nothing.
TaskPlan planTask(const Model &model, const Task &task, const std::string &path,
                  const TaskOptions &options);

/// Asks what planTask() read.
std::vector<TaskFigure> evaluateTask(std::shared_ptr<const Model> model,
                                     const Task &task, const std::string &path,
                                     const TaskPlan &plan,
                                     const TaskOptions &options);

} // namespace fairy2
