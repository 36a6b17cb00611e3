// SPDX-License-Identifier: Apache-2.0
//
// One client: reads requests, one after the other, and writes their replies.
#pragma once

#include "runtime/serve/Http.h"
#include "runtime/serve/HttpServer.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>

namespace fairy2::serve {

class ConnectionBase {
public:
  using TimePoint = std::chrono::steady_clock::time_point;
  virtual ~ConnectionBase() = default;
  virtual void start() = 0;
  /// At once; a reply under way is cut.
  virtual void close() = 0;
  /// A request is read or answered, or its reply not yet written.
  virtual bool isBusy() const = 0;
  /// Since when it waits for a request; the end of time when it does not.
  virtual TimePoint idleSince() const = 0;
};

/// What all connections share.
struct ConnectionOwner {
  ConnectionOwner(HttpOptions options, HttpHandler &handler)
      : options(std::move(options)), handler(handler) {}
  virtual ~ConnectionOwner() = default;
  /// The connection is closed.
  virtual void remove(const ConnectionBase &connection) = 0;
  /// A reply is written.
  virtual void replied() = 0;

  const HttpOptions options;
  HttpHandler &handler;
  bool isDraining = false;
  uint64_t requests = 0; ///< for their ids
};

/// `tls`: nullptr without TLS. `owner` outlives the connection.
std::shared_ptr<ConnectionBase>
makeConnection(ConnectionOwner &owner, boost::asio::ip::tcp::socket socket,
               boost::asio::ssl::context *tls);

} // namespace fairy2::serve
