// SPDX-License-Identifier: Apache-2.0
//
// Lines for a chat: from a pipe or file as they come, or from a terminal.
#pragma once

#include "tools/fairy2-run/CtrlC.h"

#include <string>

namespace fairy2 {

class LineSource {
public:
  enum class Event { Line, Interrupt, End };

  virtual ~LineSource() = default;
  /// Waits for a line, which comes without its end; `continues` inside a
  /// message of several. Throws Error.
  virtual Event next(bool continues, std::string &line) = 0;
};

/// The lines of a descriptor that nobody types at.
class StreamLines : public LineSource {
public:
  StreamLines(int descriptor, CtrlC &ctrlC)
      : descriptor(descriptor), ctrlC(ctrlC) {}

  Event next(bool continues, std::string &line) override;

private:
  Event fill();

  int descriptor;
  CtrlC &ctrlC;
  std::string buffer; ///< read, but not yet a line that was returned
  bool atEnd = false;
};

/// Waits until `descriptor` has bytes or an end, or Ctrl-C was pressed, which
/// is cleared then: Line, with up to `size` bytes in `bytes` and their number
/// in `count`; Interrupt or End. Returns Line and 0 after any other signal.
/// Throws Error.
LineSource::Event waitForInput(int descriptor, CtrlC &ctrlC, char *bytes,
                               size_t size, size_t &count);

/// Throws Error for more than a message may have.
void checkMessageSize(size_t bytes);

} // namespace fairy2
