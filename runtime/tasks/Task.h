// SPDX-License-Identifier: Apache-2.0
//
// Multiple-choice tasks and one of last words, as lm-evaluation-harness 0.4.13
// has them: from the fields of a data set to texts that a model scores.
#pragma once

#include "runtime/support/Json.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

/// A text to score after another.
struct Choice {
  std::string context;
  std::string continuation;
  /// What acc_norm divides by counts the characters of this: the continuation
  /// without the blank that the task puts before it.
  std::string answer;
};

/// A document of a task, as the model meets it.
struct Question {
  std::vector<Choice> choices;
  size_t gold = 0; ///< the right one
};

/// How often a task is right.
enum class TaskMetric {
  Choices,           ///< acc
  NormalizedChoices, ///< acc, and acc_norm, by the length of the answers
  LastWord           ///< acc: all tokens are the most likely; perplexity
};

struct Task {
  std::string_view name;
  TaskMetric metric;
  /// Throws Error that names the place of the document and its field.
  Question (*read)(const JsonField &document);
  /// Where documents may lack their label: a second file beside theirs, whose
  /// line has it. Its name has this in place of the ending.
  std::string_view labelFile = "";
};

/// All of them, by name.
std::span<const Task> allTasks();
/// Throws Error for a name that none has.
const Task &taskOf(const std::string &name);

// The readers, one file for each family.
Question readArc(const JsonField &document);
Question readHellaswag(const JsonField &document);
Question readLambada(const JsonField &document);
Question readPiqa(const JsonField &document);
Question readWinogrande(const JsonField &document);

} // namespace fairy2
