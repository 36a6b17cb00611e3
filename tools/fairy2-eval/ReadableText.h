// SPDX-License-Identifier: Apache-2.0
//
// A text that can be read as often as the evaluation likes.
#pragma once

#include "runtime/support/Unfinished.h"

#include <string>

namespace fairy2 {

/// Names the file itself, or a copy of what came through it where it can be
/// read only once: a pipe, /dev/stdin, what a shell makes of <(..). The copy
/// has its name, and goes with this object. Throws Error, also for more than
/// 1 GiB through a pipe.
class ReadableText {
public:
  explicit ReadableText(const std::string &path);

  const std::string &path() const { return name; }
  /// An error's text with the name that the user gave.
  std::string asGiven(std::string text) const;

private:
  std::string given, name;
  Unfinished folder;
};

} // namespace fairy2
