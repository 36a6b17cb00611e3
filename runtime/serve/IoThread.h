// SPDX-License-Identifier: Apache-2.0
//
// The thread that serves sockets.
#pragma once

#include "runtime/serve/HttpServer.h"

#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace fairy2::serve {

class IoThread {
public:
  /// Runs the server, which must outlive this.
  explicit IoThread(HttpServer &server);
  /// Stops the server.
  ~IoThread() { stop(); }

  /// Has `call` called when the server ends, at once when it has.
  void onEnd(std::function<void()> call);
  /// Waits for the server's end. Throws what it threw.
  void join();
  /// Ends the server and the thread.
  void stop();

private:
  HttpServer &server;
  std::mutex mutex;
  bool hasEnded = false;
  std::function<void()> atEnd;
  std::exception_ptr failure;
  std::thread thread;
};

} // namespace fairy2::serve
