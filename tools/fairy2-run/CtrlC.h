// SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C as an event to wait for instead of the end of the program.
#pragma once

#include <atomic>

namespace fairy2 {

/// While one lives (there can be one at a time), SIGINT sets `pressed` and
/// makes `descriptor` readable. Throws Error.
class CtrlC {
public:
  CtrlC();
  ~CtrlC();
  CtrlC(const CtrlC &) = delete;
  CtrlC &operator=(const CtrlC &) = delete;

  /// Stays true until clear().
  const std::atomic<bool> &pressed() const;
  /// For poll(2): a signal between two system calls is not lost, whichever
  /// thread it came to.
  int descriptor() const;
  void clear();
};

} // namespace fairy2
