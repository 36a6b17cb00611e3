// SPDX-License-Identifier: Apache-2.0
//
// Lines become messages; what a terminal edits comes from the terminal.
#include "tools/fairy2-run/MessageReader.h"

#include "runtime/support/Error.h"

#include <cerrno>
#include <cstring>
#include <string_view>

#include <poll.h>
#include <unistd.h>

namespace fairy2 {
namespace {

constexpr size_t kMaxBytes = size_t(8) << 20;
constexpr std::string_view kQuotes = "\"\"\"";

void checkSize(size_t bytes) {
  if (bytes > kMaxBytes)
    throw Error("standard input: expected messages of at most " +
                std::to_string(kMaxBytes >> 20) + " MiB, found a longer one");
}

} // namespace

/// Waits for bytes or Ctrl-C. Line: `buffer` has grown.
MessageReader::Event MessageReader::fill() {
  pollfd wanted[] = {{descriptor, POLLIN, 0}, {ctrlC.descriptor(), POLLIN, 0}};
  char bytes[4096];
  while (true) {
    if (ctrlC.pressed()) {
      ctrlC.clear();
      return Event::Interrupt;
    }
    ssize_t count = poll(wanted, 2, -1);
    if (count > 0 && wanted[1].revents)
      continue;
    if (count > 0)
      count = read(descriptor, bytes, sizeof(bytes));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      throw Error(std::string("standard input: cannot read: ") +
                  std::strerror(errno));
    if (count == 0)
      return Event::End;
    buffer.append(bytes, size_t(count));
    checkSize(buffer.size());
    return Event::Line;
  }
}

MessageReader::Event MessageReader::nextLine(std::string &line) {
  size_t searched = 0;
  while (true) {
    const size_t end = buffer.find('\n', searched);
    if (end != std::string::npos || (atEnd && !buffer.empty())) {
      line = buffer.substr(0, end);
      buffer.erase(0, end == std::string::npos ? end : end + 1);
      if (line.ends_with('\r'))
        line.pop_back();
      return Event::Line;
    }
    if (atEnd)
      return Event::End;
    searched = buffer.size();
    const Event event = fill();
    atEnd = event == Event::End;
    if (event == Event::Interrupt) {
      buffer.clear();
      return event;
    }
  }
}

Input MessageReader::next() {
  std::string message, line;
  bool inBlock = false, isEmpty = true;
  for (bool first = true;; first = false) {
    prompt(!first);
    const Event event = nextLine(line);
    if (event == Event::Interrupt)
      return {Input::Kind::Interrupt, first ? "" : message + "\n"};
    if (event == Event::End)
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
    checkSize(message.size());
    // The mark ends a block, and continues what is none.
    if (marked == inBlock)
      return {Input::Kind::Message, message};
  }
}

} // namespace fairy2
