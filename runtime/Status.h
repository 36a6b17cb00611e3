// SPDX-License-Identifier: Apache-2.0
//
// The runtime's error: a sentence for the user, as every fairy2::Error, and the
// status code under which the C interface reports it.
#pragma once

#include "runtime/include/fairy2/fairy2.h"
#include "runtime/support/Error.h"

#include <string>

namespace fairy2 {

class StatusError : public Error {
public:
  StatusError(Fairy2Status status, const std::string &message)
      : Error(message), status(status) {}

  const Fairy2Status status;
};

} // namespace fairy2
