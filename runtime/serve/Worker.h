// SPDX-License-Identifier: Apache-2.0
//
// A thread that does one piece of work after the other: JSON, templates and
// tokenizing, which would hold up sockets on the I/O thread and tokens on the
// engine's.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace fairy2::serve {

class Worker {
public:
  Worker();
  /// What has not begun is dropped.
  ~Worker();

  /// `work` must not throw.
  void add(std::function<void()> work);

private:
  void run();

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> waiting;
  bool isEnding = false;
  std::thread thread;
};

} // namespace fairy2::serve
