// SPDX-License-Identifier: Apache-2.0
//
// HellaSwag: {activity_label, ctx_a, ctx_b, endings: [..], label}; the label is
// a number, or its digits.
#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "runtime/tasks/Task.h"
#include "runtime/text/jinja/Case.h"

#include <charconv>

namespace fairy2 {
namespace {

using jinja::Text;
using jinja::TextView;

void replaceAll(Text &text, TextView what, TextView with) {
  for (size_t at = 0; (at = text.find(what, at)) != text.npos;
       at += with.size())
    text.replace(at, what.size(), with);
}

/// Without `[..]` that no newline interrupts, the shortest from the left.
Text withoutBrackets(TextView text) {
  Text result;
  while (!text.empty()) {
    if (text.front() == U'[') {
      const size_t end = text.find_first_of(U"]\n");
      if (end != text.npos && text[end] == U']') {
        text.remove_prefix(end + 1);
        continue;
      }
    }
    result += text.front();
    text.remove_prefix(1);
  }
  return result;
}

/// WikiHow's marks of titles, as the harness removes them. What is left of one
/// at the start is a blank, since the ends are stripped first.
std::string withoutMarks(TextView given) {
  Text text(jinja::strip(given, nullptr));
  replaceAll(text, U" [title]", U". ");
  text = withoutBrackets(text);
  replaceAll(text, U"  ", U" ");
  return jinja::utf8Of(text);
}

Text textOf(const JsonField &field) {
  return jinja::textOf(field.string(), /*trusted=*/true);
}

size_t labelOf(const JsonField &field, size_t count) {
  if (!field.isString())
    return size_t(field.integer(0, int64_t(count) - 1));
  const std::string digits = field.string();
  const char *end = digits.data() + digits.size();
  size_t label = 0;
  const auto read = std::from_chars(digits.data(), end, label);
  if (read.ec != std::errc() || read.ptr != end || label >= count)
    field.fail("a number from 0 to " + std::to_string(count - 1));
  return label;
}

} // namespace

Question readHellaswag(const JsonField &document) {
  const std::string context = withoutMarks(
      textOf(document["activity_label"]) + U": " + textOf(document["ctx_a"]) +
      U" " + jinja::capitalize(textOf(document["ctx_b"])));
  Question result;
  for (const JsonField &ending : document["endings"].elements()) {
    const std::string answer = withoutMarks(textOf(ending));
    result.choices.push_back({context, " " + answer, answer});
  }
  if (result.choices.empty())
    document["endings"].fail("at least one ending");
  result.gold = labelOf(document["label"], result.choices.size());
  return result;
}

} // namespace fairy2
