// SPDX-License-Identifier: Apache-2.0
//
// Finds stop strings in streamed text, also across pieces, and lets through
// only text that can no longer become part of one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

class StopMatcher {
public:
  /// Throws StatusError when a stop string is empty.
  explicit StopMatcher(std::vector<std::string> stops);

  /// Takes the next piece; returns the text that may be shown. Once a stop
  /// string has appeared, that is the text before it and nothing after.
  std::string next(std::string_view piece);
  /// The text held back when no more comes.
  std::string finish();
  bool stopped() const { return found; }

private:
  std::vector<std::string> stops;
  std::string held;
  bool found = false;
};

} // namespace fairy2
