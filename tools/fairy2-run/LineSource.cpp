// SPDX-License-Identifier: Apache-2.0
//
// Waiting for bytes and Ctrl-C at once, and lines made of the bytes.
#include "tools/fairy2-run/LineSource.h"

#include "runtime/support/Error.h"

#include <cerrno>
#include <cstring>

#include <poll.h>
#include <unistd.h>

namespace fairy2 {
namespace {

constexpr size_t kMaxBytes = size_t(8) << 20;

} // namespace

void checkMessageSize(size_t bytes) {
  if (bytes > kMaxBytes)
    throw Error("standard input: expected messages of at most " +
                std::to_string(kMaxBytes >> 20) + " MiB, found a longer one");
}

LineSource::Event waitForInput(int descriptor, CtrlC &ctrlC, char *bytes,
                               size_t size, size_t &count) {
  using Event = LineSource::Event;
  count = 0;
  if (ctrlC.pressed()) {
    ctrlC.clear();
    return Event::Interrupt;
  }
  pollfd wanted[] = {{descriptor, POLLIN, 0}, {ctrlC.descriptor(), POLLIN, 0}};
  ssize_t got = poll(wanted, 2, -1);
  if (got > 0 && wanted[1].revents)
    return Event::Line;
  if (got > 0)
    got = read(descriptor, bytes, size);
  if (got < 0 && errno == EINTR)
    return Event::Line;
  if (got < 0)
    throw Error(std::string("standard input: cannot read: ") +
                std::strerror(errno));
  count = size_t(got);
  return got == 0 ? Event::End : Event::Line;
}

/// Line: `buffer` has grown.
LineSource::Event StreamLines::fill() {
  char bytes[4096];
  size_t count = 0;
  Event event;
  do
    event = waitForInput(descriptor, ctrlC, bytes, sizeof(bytes), count);
  while (event == Event::Line && count == 0);
  buffer.append(bytes, count);
  checkMessageSize(buffer.size());
  return event;
}

LineSource::Event StreamLines::next(bool continues, std::string &line) {
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

} // namespace fairy2
