// SPDX-License-Identifier: Apache-2.0
//
// A request and its reply as the rest of the server sees them: no socket and no
// library of one. Everything here belongs to the I/O thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fairy2::serve {

struct HttpRequest {
  std::string method, target; ///< as sent; nothing is decoded
  /// Names in lower case, in the order of the fields.
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  std::string peer; ///< the client's address
  std::string id;   ///< unique in this process, told in x-request-id
  bool isEncrypted = false;
  std::chrono::steady_clock::time_point begin;

  /// The value of the first field of that name, or nullptr.
  const std::string *field(std::string_view name) const;
  size_t count(std::string_view name) const;
};

struct HttpReply {
  int status = 200;
  std::string contentType = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> fields = {};
};

/// The name of a status as the first line of a reply has it.
std::string_view statusName(int status);

/// One request that waits for its reply. After the reply's end, or when the
/// client is gone, calls do nothing.
class Exchange {
public:
  virtual ~Exchange() = default;

  /// The whole reply.
  virtual void reply(HttpReply reply) = 0;
  /// A reply in pieces: its head, its pieces, its end.
  virtual void begin(HttpReply head) = 0;
  virtual void send(std::string_view piece) = 0;
  virtual void end() = 0;

  /// Called once when the client leaves before the end of its reply.
  std::function<void(std::string_view reason)> onGone;
  /// Called with true when the client reads slower than pieces come, and with
  /// false when it has caught up.
  std::function<void(bool)> onSlow;
};

/// What a server asks of whoever answers.
class HttpHandler {
public:
  virtual ~HttpHandler() = default;

  /// Whether the head alone decides the reply; the body is not read then.
  virtual std::optional<HttpReply> refuse(const HttpRequest &head) = 0;
  /// Answers, now or later.
  virtual void answer(HttpRequest request,
                      const std::shared_ptr<Exchange> &exchange) = 0;
  /// The reply to what is no request; `status` says why.
  virtual HttpReply refusal(int status, const std::string &message) = 0;
  /// Every reply's last call. `bytes` of the body.
  virtual void finished(const HttpRequest &request, int status,
                        uint64_t bytes) = 0;
};

} // namespace fairy2::serve
