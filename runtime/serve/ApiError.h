// SPDX-License-Identifier: Apache-2.0
//
// What a client did wrong, in the form in which OpenAI's API tells it.
#pragma once

#include "runtime/serve/Http.h"
#include "runtime/support/Error.h"

#include <optional>
#include <string>

namespace fairy2::serve {

class ApiError : public Error {
public:
  ApiError(int status, const std::string &message,
           std::optional<std::string> param = {},
           std::optional<std::string> code = {})
      : Error(message), status(status), param(std::move(param)),
        code(std::move(code)) {}

  const int status;
  const std::optional<std::string> param; ///< the field, with its path
  const std::optional<std::string> code;
};

/// `invalid_request_error` and so on, which follow from the status.
const char *errorTypeOf(int status);
/// {"error": {"message", "type", "param", "code"}}.
std::string errorJson(const ApiError &error);
HttpReply errorReply(const ApiError &error);

} // namespace fairy2::serve
