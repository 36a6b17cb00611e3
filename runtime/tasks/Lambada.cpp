// SPDX-License-Identifier: Apache-2.0
//
// LAMBADA as OpenAI prepared it: {text}, whose last word is to be told.
#include "runtime/tasks/Task.h"

namespace fairy2 {

Question readLambada(const JsonField &document) {
  const std::string text = document["text"].string();
  const size_t blank = text.rfind(' ');
  const std::string context = blank == text.npos ? "" : text.substr(0, blank);
  const std::string word = blank == text.npos ? text : text.substr(blank + 1);
  return {{{context, " " + word, word}}, 0};
}

} // namespace fairy2
