// SPDX-License-Identifier: Apache-2.0
//
// Messages that a user types, or that a pipe brings: one line each, or several
// joined by a backslash at the end of a line or a block in triple quotes.
#pragma once

#include "tools/fairy2-run/LineSource.h"

#include <string>

namespace fairy2 {

struct Input {
  enum class Kind {
    Message,
    Command,   ///< a line that starts with '/'
    Interrupt, ///< Ctrl-C; the lines that it took back
    End
  };
  Kind kind;
  std::string text; ///< without the final newline; Command: with the '/'
};

class MessageReader {
public:
  explicit MessageReader(LineSource &lines) : lines(lines) {}

  /// Waits for the next one. The end of the input also ends an open block.
  /// Throws Error when the input cannot be read or a message is too long.
  Input next();

private:
  LineSource &lines;
};

} // namespace fairy2
