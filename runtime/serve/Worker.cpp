// SPDX-License-Identifier: Apache-2.0
//
// The loop of a worker.
#include "runtime/serve/Worker.h"

#include <utility>

namespace fairy2::serve {

Worker::Worker() : thread([this] { run(); }) {}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex);
    isEnding = true;
  }
  changed.notify_one();
  thread.join();
}

void Worker::add(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex);
    waiting.push_back(std::move(work));
  }
  changed.notify_one();
}

void Worker::run() {
  while (true) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] { return isEnding || !waiting.empty(); });
      if (isEnding)
        return;
      work = std::move(waiting.front());
      waiting.pop_front();
    }
    work();
  }
}

} // namespace fairy2::serve
