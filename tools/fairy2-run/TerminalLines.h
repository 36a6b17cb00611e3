// SPDX-License-Identifier: Apache-2.0
//
// Lines that somebody types or pastes at a terminal, of any length: with arrow
// keys and a history, by libedit.
#pragma once

#include "tools/fairy2-run/LineSource.h"

#include <exception>
#include <memory>

#include <termios.h>

namespace fairy2 {

/// On the terminal that is the standard input; one at a time. While it lives
/// the terminal keeps whatever is typed, also between two lines, without the
/// limit of 4,095 bytes that a line has in its usual mode.
class TerminalLines : public LineSource {
public:
  explicit TerminalLines(CtrlC &ctrlC);
  ~TerminalLines() override;
  TerminalLines(const TerminalLines &) = delete;
  TerminalLines &operator=(const TerminalLines &) = delete;

  Event next(bool continues, std::string &line) override;

private:
  struct Editor; ///< what libedit holds
  /// The next character: 1, or -1 where there is none and `event` says why.
  int nextCharacter(wchar_t &character);
  void changeModes();

  CtrlC &ctrlC;
  std::unique_ptr<Editor> editor;
  char bytes[4096];
  size_t at = 0, count = 0; ///< of the bytes that were read
  Event event = Event::End;
  std::exception_ptr error;
};

} // namespace fairy2
