// SPDX-License-Identifier: Apache-2.0
//
// From the command line to a server that listens, and to its end.
#include "runtime/serve/Serve.h"

#include "runtime/ControlGroups.h"
#include "runtime/serve/Engine.h"
#include "runtime/serve/Front.h"
#include "runtime/serve/IoThread.h"
#include "runtime/serve/Service.h"
#include "runtime/serve/Worker.h"
#include "runtime/support/Error.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>

#include <sys/stat.h>
#include <unistd.h>

namespace fairy2::serve {
namespace {

constexpr const char *kKeyVariable = "FAIRY2_API_KEY";
/// Sequences that may wait for a slot.
constexpr size_t kQueue = 64;
/// Slots that keep starts of prompts, beside those that run.
constexpr int32_t kKept = 64;
/// For the last errors of a drain to be written.
constexpr std::chrono::seconds kLastWrites{2};

bool isLoopback(const std::string &host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::string hostInUrl(const std::string &host) {
  return host.find(':') == host.npos ? host : "[" + host + "]";
}

void readAllKeys(ServeOptions &options) {
  if (!options.keyFile.empty()) {
    options.guard.keys = readKeys(options.keyFile);
    struct stat state;
    if (stat(options.keyFile.c_str(), &state) == 0 && (state.st_mode & 077))
      std::cerr << "fairy2-serve: warning: " << options.keyFile
                << ": expected a file that its owner alone may read\n";
  }
  if (const char *key = std::getenv(kKeyVariable); key && *key)
    options.guard.keys.push_back(key);
  if (options.guard.keys.empty() && !options.allowAnonymous &&
      !isLoopback(options.http.host))
    throw Error("host: " + options.http.host +
                " is open to other machines: expected --api-key-file, or "
                "--allow-anonymous");
}

ServedModel served(const Model &model, const std::string &alias) {
  ServedModel told;
  told.id = alias.empty() ? std::filesystem::path(model.path()).stem().string()
                          : alias;
  struct stat state = {};
  fstat(model.file().descriptor.get(), &state);
  told.created = state.st_mtime;
  const Manifest &manifest = model.manifest();
  char text[32];
  std::snprintf(
      text, sizeof text, "fp_%016llx",
      (unsigned long long)(manifest.image.hash ^ manifest.weights.hash));
  told.fingerprint = text;
  told.bytesPerPosition = manifest.cacheBytesPerPosition;
  return told;
}

std::string addressOf(const ServeOptions &options, const HttpServer &server) {
  return (options.http.certificate.empty() ? "http://" : "https://") +
         hostInUrl(options.http.host) + ":" + std::to_string(server.port());
}

/// What the I/O thread does at SIGTERM and SIGINT.
class Ending {
public:
  Ending(Service &service, HttpServer &server, std::chrono::seconds limit)
      : service(service), server(server), limit(limit) {}

  void operator()() {
    if (++signals > 1)
      _exit(130);
    if (!service.isReady()) // and nothing is under way
      _exit(0);
    service.drain();
    server.drain();
    server.postAfter(limit, [this] { service.failAll(); });
    server.stopWhenWritten(limit + kLastWrites);
  }

private:
  Service &service;
  HttpServer &server;
  const std::chrono::seconds limit;
  int signals = 0;
};

/// Of the slots, those that run at once; the others keep starts of prompts as
/// long as the memory is not needed.
SlotLimits limitsOf(const ServeOptions &options, const ServedModel &model) {
  const uint64_t bytes =
      options.kvMemory ? options.kvMemory : availableMemory() / 2;
  return {options.cache, size_t(options.session.slots),
          int64_t(bytes / uint64_t(model.bytesPerPosition))};
}

/// Opens the model and works until the I/O thread ends.
void work(const ServeOptions &options, Service &service, HttpServer &server,
          IoThread &io) {
  const auto model = Model::open(options.model);
  const ServedModel told = served(*model, options.alias);
  SessionOptions slots = options.session;
  if (options.cache != CacheUse::Off)
    slots.slots += kKept;
  Session session(model, slots);
  Engine engine(session, limitsOf(options, told), [&](StepReport step) {
    server.post([&service, step = std::move(step)] { service.take(step); });
  });
  Front front(session, engine, told.id, options.bosForIds);
  Worker worker;
  // Nothing is posted to who is gone, however this ends.
  const struct StopFirst {
    IoThread &io;
    ~StopFirst() { io.stop(); }
  } stopFirst{io};
  server.post([&] {
    service.setReady(told, {&front, &worker, &engine,
                            size_t(options.session.slots) + kQueue});
  });
  std::cerr << "fairy2-serve: " << told.id << " at "
            << addressOf(options, server) << std::endl;
  io.onEnd([&] { engine.stop(); });
  engine.run();
  io.onEnd({});
  io.join();
}

} // namespace

void serve(ServeOptions options) {
  std::signal(SIGPIPE, SIG_IGN);
  readAllKeys(options);
  options.guard.hosts.push_back(hostInUrl(options.http.host));
  AccessLog log(options.log);
  std::optional<HttpServer> server;
  Service service(
      options.guard, log,
      {[&](std::function<void()> call) { server->post(std::move(call)); },
       [&](std::chrono::milliseconds time, std::function<void()> call) {
         server->postAfter(time, std::move(call));
       }});
  server.emplace(options.http, service);
  Ending ending(service, *server, options.drainTimeout);
  server->onSignals({SIGINT, SIGTERM}, [&] { ending(); });
  IoThread io(*server);
  work(options, service, *server, io);
}

} // namespace fairy2::serve
