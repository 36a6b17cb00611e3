// SPDX-License-Identifier: Apache-2.0
//
// What each route answers. Everything here runs on the I/O thread.
#pragma once

#include "runtime/Model.h"
#include "runtime/serve/AccessLog.h"
#include "runtime/serve/Answer.h"
#include "runtime/serve/Guard.h"
#include "runtime/serve/Http.h"
#include "runtime/serve/Metrics.h"
#include "runtime/serve/Router.h"
#include "runtime/serve/Worker.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace fairy2::serve {

/// The model as clients see it.
struct ServedModel {
  std::string id;
  int64_t created = 0; ///< seconds since 1970
  std::string fingerprint;
  int64_t bytesPerPosition = 0; ///< of the KV cache
};

/// What a service works with, once the model is loaded.
struct Backend {
  Front *front = nullptr;
  Worker *worker = nullptr;
  Engine *engine = nullptr;
  /// How many sequences may be under way before new requests are refused.
  size_t mostSequences = 0;
};

/// How a service comes back to the I/O thread.
struct Callbacks {
  std::function<void(std::function<void()>)> post;
  std::function<void(std::chrono::milliseconds, std::function<void()>)> after;
};

class Service final : public HttpHandler {
public:
  Service(GuardOptions guard, AccessLog &log, Callbacks callbacks);

  /// From now on requests are answered.
  void setReady(ServedModel model, Backend backend);
  /// What the engine tells of a step.
  void take(const StepReport &step);
  /// Ends all that is under way by an error.
  void failAll();
  bool isReady() const { return state == State::Ready; }
  /// From now on new requests are refused.
  void drain() { state = State::Draining; }

  std::optional<HttpReply> refuse(const HttpRequest &head) override;
  void answer(HttpRequest request,
              const std::shared_ptr<Exchange> &exchange) override;
  HttpReply refusal(int status, const std::string &message) override;
  void finished(const HttpRequest &request, int status,
                uint64_t bytes) override;

private:
  struct UnderWay {
    std::shared_ptr<Answer> answer;
    std::chrono::steady_clock::time_point begin;
    /// When a choice last had a token.
    std::vector<std::chrono::steady_clock::time_point> last = {};
  };
  enum class State { Loading, Ready, Draining };
  HttpReply health() const;
  HttpReply models() const;
  HttpReply model(std::string_view id) const;
  void route(const RouteInfo &info, HttpRequest request,
             const std::shared_ptr<Exchange> &exchange);
  /// Has the front thread make a reply.
  void replyLater(const std::shared_ptr<Exchange> &exchange,
                  std::vector<std::pair<std::string, std::string>> fields,
                  std::function<std::string()> make);
  void generate(Route route, HttpRequest request,
                const std::shared_ptr<Exchange> &exchange);
  void begin(uint64_t id, Prepared prepared, bool isChat);
  void fail(uint64_t id, const ApiError &error);
  void drop(uint64_t id, std::string_view reason);
  void measure(UnderWay &one, const Event &event);
  HttpReply metricsReply() const;
  size_t sequencesUnderWay() const;
  void watch();
  void tick();

  const Guard guard;
  AccessLog &log;
  State state = State::Loading;
  ServedModel served;
  const Callbacks callbacks;
  Backend backend;
  std::map<uint64_t, UnderWay> answers; ///< by their job's id
  uint64_t jobs = 0;
  bool isTicking = false;
  Metrics metrics;
};

} // namespace fairy2::serve
