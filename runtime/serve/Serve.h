// SPDX-License-Identifier: Apache-2.0
//
// A model behind HTTP: the logic of fairy2-serve.
#pragma once

#include "runtime/Scheduler.h"
#include "runtime/Session.h"
#include "runtime/serve/AccessLog.h"
#include "runtime/serve/Guard.h"
#include "runtime/serve/HttpServer.h"

#include <chrono>
#include <string>

namespace fairy2::serve {

struct ServeOptions {
  std::string model;
  std::string alias;      ///< empty: the file's name without its ending
  SessionOptions session; ///< its slots are those that run at once
  HttpOptions http;
  GuardOptions guard;
  std::string keyFile;
  bool allowAnonymous = false; ///< to other machines
  std::chrono::seconds drainTimeout{30};
  CacheUse cache = CacheUse::PerOwner;
  uint64_t kvMemory = 0; ///< bytes; 0: half of what is free
  bool bosForIds = false;
  LogForm log = LogForm::Text;
};

/// Serves until SIGTERM or SIGINT; a second one ends the process with 130.
/// Throws Error when it cannot begin.
void serve(ServeOptions options);

} // namespace fairy2::serve
