// SPDX-License-Identifier: Apache-2.0
//
// The questions of a task's file, and the tokens that they are scored by.
#pragma once

#include "runtime/Manifest.h"
#include "runtime/tasks/Task.h"
#include "runtime/text/Tokenizer.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace fairy2 {

/// Takes a question and its place, "FILE:LINE".
using UseQuestion =
    std::function<void(const Question &question, const std::string &place)>;

/// Hands on the first `limit` questions of `path`, or all for 0, in order: a
/// document in each line, compressed where its name ends in .zst. Throws Error
/// that names file, line and field.
void readQuestions(const Task &task, const std::string &path, int64_t limit,
                   const UseQuestion &use);

/// Which sequences begin with BOS.
enum class BosRule {
  Tokenizer, ///< where the tokenizer puts one by itself
  Never,     ///< none but an empty context
  Always
};
/// "tokenizer", "never", "always".
const char *nameOf(BosRule rule);

/// A choice as tokens: of `ids` the last `scored` ones are its continuation.
struct ScoredTokens {
  std::vector<int32_t> ids;
  size_t scored = 0;
};

/// As lm-evaluation-harness cuts it: blanks at the context's end belong to the
/// continuation, whose tokens are what follows as many tokens of both as the
/// context has alone, also where a token reaches across. Of an empty context
/// stays BOS, or else EOS. Throws Error when the continuation has no token of
/// its own, or BOS is wanted where there is none.
ScoredTokens encodeChoice(const Choice &choice, const Tokenizer &tokenizer,
                          const Manifest &manifest, BosRule rule);

} // namespace fairy2
