// SPDX-License-Identifier: Apache-2.0
//
// A line for each reply, on the standard output. A reader that is slow or gone
// costs lines, never time: a thread of its own writes them.
#pragma once

#include "runtime/serve/Http.h"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

namespace fairy2::serve {

enum class LogForm { Off, Text, Json };

class AccessLog {
public:
  explicit AccessLog(LogForm form);
  /// Writes what is left, unless nobody reads it.
  ~AccessLog();

  /// No key, no prompt and no text of an answer: paths, counts and times.
  void add(const HttpRequest &request, int status, uint64_t bytes);
  /// The line that add() would write. For tests too.
  static std::string lineOf(LogForm form, const HttpRequest &request,
                            int status, uint64_t bytes);

private:
  void write();

  const LogForm form;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> lines;
  bool isEnding = false;
  std::thread writer;
};

} // namespace fairy2::serve
