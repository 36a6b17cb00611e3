// SPDX-License-Identifier: Apache-2.0
//
// PIQA: {goal, sol1, sol2, label}.
#include "runtime/tasks/Task.h"

namespace fairy2 {

Question readPiqa(const JsonField &document) {
  const std::string context =
      "Question: " + document["goal"].string() + "\nAnswer:";
  Question result;
  for (const char *name : {"sol1", "sol2"}) {
    const std::string answer = document[name].string();
    result.choices.push_back({context, " " + answer, answer});
  }
  result.gold = size_t(document["label"].integer(0, 1));
  return result;
}

} // namespace fairy2
