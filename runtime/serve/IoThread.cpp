// SPDX-License-Identifier: Apache-2.0
//
// Begins and ends with the server.
#include "runtime/serve/IoThread.h"

#include <utility>

namespace fairy2::serve {

IoThread::IoThread(HttpServer &server)
    : server(server), thread([this] {
        try {
          this->server.run();
        } catch (...) {
          failure = std::current_exception();
        }
        const std::lock_guard lock(mutex);
        hasEnded = true;
        if (atEnd)
          atEnd();
      }) {}

void IoThread::onEnd(std::function<void()> call) {
  const std::lock_guard lock(mutex);
  atEnd = std::move(call);
  if (hasEnded && atEnd)
    atEnd();
}

void IoThread::join() {
  if (thread.joinable())
    thread.join();
  if (failure)
    std::rethrow_exception(std::exchange(failure, nullptr));
}

void IoThread::stop() {
  server.post([this] { server.stop(); });
  if (thread.joinable())
    thread.join();
}

} // namespace fairy2::serve
