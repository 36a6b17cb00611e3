// SPDX-License-Identifier: Apache-2.0
//
// What each route answers. Everything here runs on the I/O thread.
#pragma once

#include "runtime/Model.h"
#include "runtime/serve/AccessLog.h"
#include "runtime/serve/Guard.h"
#include "runtime/serve/Http.h"

#include <cstdint>
#include <memory>
#include <string>

namespace fairy2::serve {

/// The model as clients see it.
struct ServedModel {
  std::string id;
  int64_t created = 0; ///< seconds since 1970
  std::string fingerprint;
};

class Service final : public HttpHandler {
public:
  Service(GuardOptions guard, AccessLog &log);

  /// From now on requests are answered.
  void setReady(ServedModel model);
  /// From now on new requests are refused.
  void drain() { state = State::Draining; }

  std::optional<HttpReply> refuse(const HttpRequest &head) override;
  void answer(HttpRequest request,
              const std::shared_ptr<Exchange> &exchange) override;
  HttpReply refusal(int status, const std::string &message) override;
  void finished(const HttpRequest &request, int status,
                uint64_t bytes) override;

private:
  enum class State { Loading, Ready, Draining };
  HttpReply health() const;
  HttpReply models() const;
  HttpReply model(std::string_view id) const;

  const Guard guard;
  AccessLog &log;
  State state = State::Loading;
  ServedModel served;
};

} // namespace fairy2::serve
