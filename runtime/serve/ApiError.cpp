// SPDX-License-Identifier: Apache-2.0
//
// Errors as JSON; all four keys are there, as the specification asks.
#include "runtime/serve/ApiError.h"

#include <nlohmann/json.hpp>

namespace fairy2::serve {

using nlohmann::ordered_json;

const char *errorTypeOf(int status) {
  switch (status) {
  case 401:
    return "authentication_error";
  case 403:
    return "permission_error";
  case 404:
    return "not_found";
  case 500:
    return "server_error";
  case 503:
    return "overloaded";
  default:
    return "invalid_request_error";
  }
}

std::string errorJson(const ApiError &error) {
  const auto orNull = [](const std::optional<std::string> &text) {
    return text ? ordered_json(*text) : ordered_json();
  };
  const ordered_json json = {{"error",
                              {{"message", error.what()},
                               {"type", errorTypeOf(error.status)},
                               {"param", orNull(error.param)},
                               {"code", orNull(error.code)}}}};
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

HttpReply errorReply(const ApiError &error) {
  HttpReply reply{error.status, "application/json", errorJson(error)};
  if (error.status == 503)
    reply.fields.emplace_back("Retry-After", "1");
  if (error.status == 401)
    reply.fields.emplace_back("WWW-Authenticate", "Bearer");
  return reply;
}

} // namespace fairy2::serve
