// SPDX-License-Identifier: Apache-2.0
//
// Routes and their replies.
#include "runtime/serve/Service.h"

#include "runtime/serve/ApiError.h"
#include "runtime/serve/Page.h"
#include "runtime/serve/Router.h"

#include <nlohmann/json.hpp>

#include <cctype>
#include <cstdio>
#include <ctime>
#include <random>
#include <utility>

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

/// Nothing that a page of this server shows can call for another's.
HttpReply fileReply(const PageFile &file) {
  HttpReply reply{200, std::string(file.contentType),
                  std::string(file.content)};
  reply.fields = {
      {"Content-Security-Policy",
       "default-src 'none'; script-src 'self'; style-src 'self'; connect-src "
       "'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; "
       "form-action 'none'"},
      {"Referrer-Policy", "no-referrer"},
      {"Cache-Control", "no-cache"}};
  return reply;
}

double secondsBetween(std::chrono::steady_clock::time_point begin,
                      std::chrono::steady_clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

ApiError serverError() { return {500, "server: cannot answer this request"}; }

/// That nobody can guess the number of requests from.
std::string identifier(uint64_t number) {
  static const uint64_t start = [] {
    std::random_device random;
    return uint64_t(random()) << 32 | random();
  }();
  char text[40];
  std::snprintf(text, sizeof text, "%016llx%08llx",
                (unsigned long long)(start ^ number * 0x9e3779b97f4a7c15),
                (unsigned long long)number);
  return text;
}

constexpr std::chrono::seconds kTick{5}, kRequestLimit{600};

} // namespace

Service::Service(GuardOptions guard, AccessLog &log, Callbacks callbacks)
    : guard(std::move(guard)), log(log), callbacks(std::move(callbacks)) {}

void Service::setReady(ServedModel model, Backend theBackend) {
  served = std::move(model);
  backend = theBackend;
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
  try {
    route(routeOf(request.target), std::move(request), exchange);
  } catch (const std::exception &) {
    exchange->reply(errorReply(serverError()));
  }
}

void Service::route(const RouteInfo &info, HttpRequest request,
                    const std::shared_ptr<Exchange> &exchange) {
  auto fields = guard.fieldsFor(request);
  const auto reply = [&](HttpReply made) {
    add(made, fields);
    exchange->reply(std::move(made));
  };
  Front *front = backend.front;
  switch (info.route) {
  case Route::Health:
    return reply(health());
  case Route::Models:
    return reply(models());
  case Route::Model:
    return reply(
        model(std::string_view(request.target).substr(info.path.size())));
  case Route::Completions:
  case Route::Chat:
    return generate(info.route, std::move(request), exchange);
  case Route::Tokenize:
    return replyLater(exchange, fields, [front, body = request.body] {
      return front->tokenize(body);
    });
  case Route::Detokenize:
    return replyLater(exchange, fields, [front, body = request.body] {
      return front->detokenize(body);
    });
  case Route::File:
    return reply(fileReply(*pageFileAt(request.target)));
  case Route::Metrics:
    return reply(metricsReply());
  case Route::TokenizerInfo:
    return replyLater(exchange, fields,
                      [front] { return front->tokenizerInfo(); });
  case Route::Other: // refused by its head
    return;
  }
}

void Service::replyLater(
    const std::shared_ptr<Exchange> &exchange,
    std::vector<std::pair<std::string, std::string>> fields,
    std::function<std::string()> make) {
  backend.worker->add([post = callbacks.post, exchange, fields, make] {
    HttpReply reply;
    try {
      reply.body = make();
    } catch (const ApiError &error) {
      reply = errorReply(error);
    } catch (const std::exception &) {
      reply = errorReply(serverError());
    }
    add(reply, fields);
    post([exchange, reply] { exchange->reply(reply); });
  });
}

void Service::generate(Route route, HttpRequest request,
                       const std::shared_ptr<Exchange> &exchange) {
  auto fields = guard.fieldsFor(request);
  if (sequencesUnderWay() >= backend.mostSequences) {
    HttpReply reply =
        errorReply({503, "server: too many requests wait already"});
    add(reply, fields);
    return exchange->reply(std::move(reply));
  }
  const auto job = std::make_shared<Job>();
  const uint64_t id = job->id = ++jobs;
  job->owner = std::to_string(guard.ownerOf(request));
  auto answer = std::make_shared<Answer>(
      exchange, job, fields,
      [this, exchange, fields](std::function<std::string()> make) {
        replyLater(exchange, fields, std::move(make));
      });
  answers[id] = {answer, request.begin};
  exchange->onGone = [this, id](std::string_view reason) { drop(id, reason); };
  exchange->onSlow = [this, answer = std::weak_ptr(answer)](bool isSlow) {
    if (const auto there = answer.lock()) {
      there->pause(isSlow);
      backend.engine->wake();
    }
  };
  watch();
  const bool isChat = route == Route::Chat;
  backend.worker->add([this, isChat, id, job, front = backend.front,
                       body = std::move(request.body)] {
    if (job->isCancelled)
      return;
    try {
      const Prepared prepared =
          isChat ? front->chat(body, job) : front->completions(body, job);
      callbacks.post(
          [this, id, prepared, isChat] { begin(id, prepared, isChat); });
    } catch (const ApiError &error) {
      callbacks.post([this, id, error] { fail(id, error); });
    } catch (const std::exception &) {
      callbacks.post([this, id] { fail(id, serverError()); });
    }
  });
}

void Service::begin(uint64_t id, Prepared prepared, bool isChat) {
  const auto found = answers.find(id);
  if (found == answers.end()) // the client has left
    return;
  ReplyHead head{isChat, (isChat ? "chatcmpl-" : "cmpl-") + identifier(id),
                 std::time(nullptr), served.id, served.fingerprint};
  std::shared_ptr<Job> job = prepared.job;
  metrics.promptTokens += prepared.promptTokens;
  found->second.answer->begin(std::move(prepared), std::move(head));
  backend.engine->add(std::move(job));
}

void Service::take(const StepReport &step) {
  metrics.stepSeconds.add(step.seconds);
  for (const Event &event : step.events) {
    const auto found = answers.find(event.job);
    if (found == answers.end())
      continue;
    measure(found->second, event);
    try {
      if (found->second.answer->take(event))
        answers.erase(event.job);
    } catch (const std::exception &) {
      fail(event.job, serverError());
    }
  }
}

void Service::measure(UnderWay &one, const Event &event) {
  const auto now = std::chrono::steady_clock::now();
  one.last.resize(one.answer->sequences());
  auto &last = one.last[event.choice];
  if (last == std::chrono::steady_clock::time_point())
    metrics.firstTokenSeconds.add(secondsBetween(one.begin, now));
  else
    metrics.tokenGapSeconds.add(secondsBetween(last, now));
  last = now;
  metrics.generatedTokens += event.generatedTokens;
  metrics.cachedTokens += event.cachedTokens;
}

HttpReply Service::metricsReply() const {
  const Engine::Counts counts = backend.engine->counts();
  return {200, "text/plain; version=0.0.4; charset=utf-8",
          metrics.text({counts.running, counts.waiting,
                        counts.heldPositions * served.bytesPerPosition,
                        counts.reservedPositions * served.bytesPerPosition,
                        served.id})};
}

void Service::fail(uint64_t id, const ApiError &error) {
  const auto found = answers.find(id);
  if (found == answers.end())
    return;
  const auto answer = found->second.answer;
  answers.erase(found);
  answer->fail(error);
  backend.engine->wake();
}

void Service::failAll() {
  while (!answers.empty()) {
    metrics.addCancelled("end");
    fail(answers.begin()->first, {503, "server: is about to end"});
  }
}

/// `reason` is one of the server's own words.
void Service::drop(uint64_t id, std::string_view reason) {
  if (const auto found = answers.find(id); found != answers.end()) {
    metrics.addCancelled(reason);
    found->second.answer->cancel();
    backend.engine->wake();
    answers.erase(found);
  }
}

size_t Service::sequencesUnderWay() const {
  size_t count = 0;
  for (const auto &[id, one] : answers)
    count += one.answer->sequences();
  return count;
}

/// From time to time, while there is something to look after.
void Service::watch() {
  if (std::exchange(isTicking, true))
    return;
  callbacks.after(kTick, [this] { tick(); });
}

void Service::tick() {
  isTicking = false;
  const auto now = std::chrono::steady_clock::now();
  std::vector<uint64_t> late;
  for (auto &[id, one] : answers) {
    if (now - one.begin > kRequestLimit)
      late.push_back(id);
    one.answer->beat();
  }
  for (const uint64_t id : late) {
    metrics.addCancelled("late");
    fail(id, {503, "server: the answer took too long"});
  }
  if (!answers.empty())
    watch();
}

HttpReply Service::refusal(int status, const std::string &message) {
  return errorReply({status, message});
}

void Service::finished(const HttpRequest &request, int status, uint64_t bytes) {
  metrics.addRequest(
      routeOf(request.target).path, status,
      secondsBetween(request.begin, std::chrono::steady_clock::now()));
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
