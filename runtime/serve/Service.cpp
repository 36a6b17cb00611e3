// SPDX-License-Identifier: Apache-2.0
//
// Routes and their replies.
#include "runtime/serve/Service.h"

#include "runtime/serve/ApiError.h"
#include "runtime/serve/Router.h"

#include <nlohmann/json.hpp>

namespace fairy2::serve {
namespace {

using nlohmann::ordered_json;

HttpReply jsonReply(const ordered_json &json, int status = 200) {
  return {status, "application/json",
          json.dump(-1, ' ', false, ordered_json::error_handler_t::replace)};
}

void add(HttpReply &reply,
         std::vector<std::pair<std::string, std::string>> fields) {
  for (auto &field : fields)
    reply.fields.push_back(std::move(field));
}

ordered_json describe(const ServedModel &model) {
  return {{"id", model.id},
          {"object", "model"},
          {"created", model.created},
          {"owned_by", "fairy2"}};
}

/// As a client writes it into a path, since nothing of a path is decoded.
std::string encodedForPath(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text)
    if (std::isalnum((unsigned char)c) ||
        std::string_view("-._~").find(c) != std::string_view::npos)
      encoded += c;
    else
      encoded.append("%")
          .append(1, digits[(unsigned char)c >> 4])
          .append(1, digits[c & 15]);
  return encoded;
}

} // namespace

Service::Service(GuardOptions guard, AccessLog &log)
    : guard(std::move(guard)), log(log) {}

void Service::setReady(ServedModel model) {
  served = std::move(model);
  if (state == State::Loading)
    state = State::Ready;
}

std::optional<HttpReply> Service::refuse(const HttpRequest &head) {
  const RouteInfo &info = routeOf(head.target);
  if (auto reply = guard.refuse(head, info.isOpen))
    return reply;
  std::optional<HttpReply> reply;
  if (info.route != Route::Other && head.method == "OPTIONS")
    reply = guard.preflight();
  else
    reply = refuseRoute(info, head);
  if (!reply && head.method == "POST")
    if (const std::string *type = head.field("content-type");
        type && !type->starts_with("application/json"))
      reply = errorReply({415, "content-type: expected application/json"});
  if (!reply && !info.isOpen && state != State::Ready)
    reply = errorReply({503, state == State::Loading
                                 ? "server: is loading its model"
                                 : "server: is about to end"});
  if (reply)
    add(*reply, guard.fieldsFor(head));
  return reply;
}

void Service::answer(HttpRequest request,
                     const std::shared_ptr<Exchange> &exchange) {
  const RouteInfo &info = routeOf(request.target);
  HttpReply reply;
  switch (info.route) {
  case Route::Health:
    reply = health();
    break;
  case Route::Models:
    reply = models();
    break;
  case Route::Model:
    reply = model(std::string_view(request.target).substr(info.path.size()));
    break;
  case Route::Other: // refused by its head
    return;
  }
  add(reply, guard.fieldsFor(request));
  exchange->reply(std::move(reply));
}

HttpReply Service::refusal(int status, const std::string &message) {
  return errorReply({status, message});
}

void Service::finished(const HttpRequest &request, int status, uint64_t bytes) {
  log.add(request, status, bytes);
}

HttpReply Service::health() const {
  if (state == State::Ready)
    return jsonReply({{"status", "ok"}});
  HttpReply reply = jsonReply(
      {{"status", state == State::Loading ? "loading" : "draining"}}, 503);
  reply.fields.emplace_back("Retry-After", "1");
  return reply;
}

HttpReply Service::models() const {
  return jsonReply(
      {{"object", "list"}, {"data", ordered_json::array({describe(served)})}});
}

HttpReply Service::model(std::string_view id) const {
  if (id != served.id && id != encodedForPath(served.id))
    return errorReply(
        {404, "model: expected " + served.id, "model", "model_not_found"});
  return jsonReply(describe(served));
}

} // namespace fairy2::serve
