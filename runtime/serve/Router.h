// SPDX-License-Identifier: Apache-2.0
//
// Which route a request asks for: by its path as sent, exactly. Nothing is
// decoded or normalised, so that a proxy and this server see the same path.
#pragma once

#include "runtime/serve/Http.h"

#include <optional>
#include <string>
#include <string_view>

namespace fairy2::serve {

enum class Route {
  Health,
  Models,
  Model,
  Completions,
  Chat,
  Tokenize,
  Detokenize,
  TokenizerInfo,
  Metrics,
  File, ///< one that is part of the program
  Other ///< none of them
};

struct RouteInfo {
  Route route;
  const char *method;
  std::string_view path; ///< of Route::Model its beginning, of files the page
  bool isOpen;           ///< asks for no key
};

/// The route of a path; Route::Other where there is none.
const RouteInfo &routeOf(std::string_view target);
/// The reply to a path or a method that no route has.
std::optional<HttpReply> refuseRoute(const RouteInfo &info,
                                     const HttpRequest &head);

} // namespace fairy2::serve
