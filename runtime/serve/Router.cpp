// SPDX-License-Identifier: Apache-2.0
//
// The table of routes.
#include "runtime/serve/Router.h"

#include "runtime/serve/ApiError.h"
#include "runtime/serve/Page.h"

#include <algorithm>
#include <array>

namespace fairy2::serve {
namespace {

constexpr std::array kRoutes = {
    RouteInfo{Route::Health, "GET", "/health", true},
    RouteInfo{Route::Models, "GET", "/v1/models", false},
    RouteInfo{Route::Model, "GET", "/v1/models/", false},
    RouteInfo{Route::Completions, "POST", "/v1/completions", false},
    RouteInfo{Route::Chat, "POST", "/v1/chat/completions", false},
    RouteInfo{Route::Tokenize, "POST", "/tokenize", false},
    RouteInfo{Route::Detokenize, "POST", "/detokenize", false},
    RouteInfo{Route::TokenizerInfo, "GET", "/tokenizer_info", false},
    RouteInfo{Route::Metrics, "GET", "/metrics", false},
};
constexpr RouteInfo kDescription = {Route::File, "GET", "/openapi.json", false};
constexpr RouteInfo kPage = {Route::File, "GET", "/", true};
constexpr RouteInfo kOther = {Route::Other, "", "other", false};

/// What clients ask for and a compiled model does not have, with the reason.
const char *reasonFor(std::string_view target) {
  if (target == "/v1/embeddings")
    return "path: a compiled model gives no embeddings";
  if (target.starts_with("/api/"))
    return "path: Ollama's API is not served; OpenAI's is, under /v1";
  return "path: no such route";
}

} // namespace

const RouteInfo &routeOf(std::string_view target) {
  const auto found = std::ranges::find_if(kRoutes, [&](const RouteInfo &info) {
    return info.route == Route::Model
               ? target.starts_with(info.path) && target != info.path
               : target == info.path;
  });
  if (found != kRoutes.end())
    return *found;
  if (!pageFileAt(target))
    return kOther;
  // The page itself asks for a key where it needs one.
  return target == "/openapi.json" ? kDescription : kPage;
}

std::optional<HttpReply> refuseRoute(const RouteInfo &info,
                                     const HttpRequest &head) {
  if (info.route == Route::Other)
    return errorReply({404, reasonFor(head.target), {}, "unknown_url"});
  const bool isGet = std::string_view(info.method) == "GET";
  if (head.method == info.method || (isGet && head.method == "HEAD"))
    return {};
  HttpReply reply = errorReply(
      {405, std::string("method: expected ") + info.method + " for this path"});
  reply.fields.emplace_back("Allow",
                            isGet ? "GET, HEAD, OPTIONS" : "POST, OPTIONS");
  return reply;
}

} // namespace fairy2::serve
