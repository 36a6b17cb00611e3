// SPDX-License-Identifier: Apache-2.0
//
// Lines become messages.
#include "tools/fairy2-run/MessageReader.h"

#include <string_view>

namespace fairy2 {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";

} // namespace

Input MessageReader::next() {
  std::string message, line;
  bool inBlock = false, isEmpty = true;
  for (bool first = true;; first = false) {
    const LineSource::Event event = lines.next(!first, line);
    if (event == LineSource::Event::Interrupt)
      return {Input::Kind::Interrupt, first ? "" : message + "\n"};
    if (event == LineSource::Event::End)
      return {first ? Input::Kind::End : Input::Kind::Message, message};
    std::string_view rest = line;
    if (first && rest.starts_with('/'))
      return {Input::Kind::Command, line};
    if (first && rest.starts_with(kQuotes)) {
      inBlock = true;
      rest.remove_prefix(kQuotes.size());
    }
    const std::string_view mark = inBlock ? kQuotes : "\\";
    const bool marked = rest.ends_with(mark);
    if (marked)
      rest.remove_suffix(mark.size());
    // Quotes alone on their line add no line to the block.
    if (!(inBlock && rest.empty() && (first || marked))) {
      if (!isEmpty)
        message += '\n';
      message += rest;
      isEmpty = false;
    }
    checkMessageSize(message.size());
    // The mark ends a block, and continues what is none.
    if (marked == inBlock)
      return {Input::Kind::Message, message};
  }
}

} // namespace fairy2
