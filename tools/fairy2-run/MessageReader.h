// SPDX-License-Identifier: Apache-2.0
//
// Messages that a user types, or that a pipe brings: one line each, or several
// joined by a backslash at the end of a line or a block in triple quotes.
#pragma once

#include "tools/fairy2-run/CtrlC.h"

#include <functional>
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
  /// Reads `descriptor`. `prompt` is called before each line that is waited
  /// for, with true inside a message of several lines.
  MessageReader(int descriptor, CtrlC &ctrlC,
                std::function<void(bool continues)> prompt)
      : descriptor(descriptor), ctrlC(ctrlC), prompt(std::move(prompt)) {}

  /// Waits for the next one. The end of the input also ends an open block.
  /// Throws Error when the descriptor cannot be read or a message is too long.
  Input next();

private:
  enum class Event { Line, Interrupt, End };
  Event nextLine(std::string &line);
  Event fill();

  int descriptor;
  CtrlC &ctrlC;
  std::function<void(bool)> prompt;
  std::string buffer; ///< read, but not yet a line that was returned
  bool atEnd = false;
};

} // namespace fairy2
