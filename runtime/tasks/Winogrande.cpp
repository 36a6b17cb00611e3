// SPDX-License-Identifier: Apache-2.0
//
// WinoGrande: {sentence, option1, option2, answer}, the sentence with a "_"
// that one of the options belongs to. What follows it is scored after each.
#include "runtime/tasks/Task.h"
#include "runtime/text/jinja/Text.h"

namespace fairy2 {

Question readWinogrande(const JsonField &document) {
  const JsonField sentence = document["sentence"];
  const std::string text = sentence.string();
  const size_t blank = text.find('_');
  if (blank == text.npos)
    sentence.fail("a text with a _");
  const std::string rest = jinja::utf8Of(jinja::strip(
      jinja::textOf(text.substr(blank + 1), /*trusted=*/true), nullptr));
  Question result;
  for (const char *name : {"option1", "option2"})
    result.choices.push_back(
        {text.substr(0, blank) + document[name].string(), " " + rest, rest});
  const JsonField answer = document["answer"];
  if (answer.string() != "1" && answer.string() != "2")
    answer.fail("\"1\" or \"2\"");
  result.gold = answer.string() == "1" ? 0 : 1;
  return result;
}

} // namespace fairy2
