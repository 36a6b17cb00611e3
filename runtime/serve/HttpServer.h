// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1.1 over TCP and TLS: one thread, and no reply that waits for another.
// What cannot be a request is refused before anybody sees it, and every wait
// has an end.
#pragma once

#include "runtime/serve/Http.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>

namespace fairy2::serve {

struct HttpOptions {
  std::string host = "127.0.0.1";      ///< an address, or localhost
  uint16_t port = 8080;                ///< 0: any that is free
  std::string certificate, privateKey; ///< PEM files; empty: no TLS
  size_t maxConnections = 512;
  uint64_t maxBody = uint64_t(8) << 20;
  std::chrono::milliseconds requestLimit{30'000}; ///< for head and body
  std::chrono::milliseconds idleLimit{60'000};    ///< between requests
  std::chrono::milliseconds stallLimit{60'000};   ///< without a byte read
};

class HttpServer {
public:
  /// Listens. Throws Error when the address is not to be had, or a file of TLS
  /// is not right.
  HttpServer(HttpOptions options, HttpHandler &handler);
  ~HttpServer();

  uint16_t port() const;
  /// Serves until stop(). To be called once.
  void run();

  /// May be called by every thread.
  void post(std::function<void()> work);
  /// Calls `work` on the I/O thread after a time.
  void postAfter(std::chrono::milliseconds time, std::function<void()> work);

  /// Calls `work` on the I/O thread at each of the signals.
  void onSignals(std::initializer_list<int> numbers,
                 std::function<void()> work);

  /// Accepts nobody from now on, and closes connections after their replies.
  /// Of the I/O thread, as are those below.
  void drain();
  /// Ends run() at once.
  void stop();
  /// Ends run() when every reply under way is written, but after `limit`.
  void stopWhenWritten(std::chrono::milliseconds limit);

private:
  struct Core;
  std::shared_ptr<Core> core;
};

} // namespace fairy2::serve
