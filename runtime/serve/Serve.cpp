// SPDX-License-Identifier: Apache-2.0
//
// From the command line to a server that listens, and to its end.
#include "runtime/serve/Serve.h"

#include "runtime/serve/Service.h"
#include "runtime/support/Error.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <thread>

#include <sys/stat.h>
#include <unistd.h>

namespace fairy2::serve {
namespace {

constexpr const char *kKeyVariable = "FAIRY2_API_KEY";

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
  return told;
}

} // namespace

void serve(ServeOptions options) {
  std::signal(SIGPIPE, SIG_IGN);
  readAllKeys(options);
  options.guard.hosts.push_back(hostInUrl(options.http.host));
  AccessLog log(options.log);
  Service service(options.guard, log);
  HttpServer server(options.http, service);
  server.onSignals({SIGINT, SIGTERM}, [&, count = 0]() mutable {
    if (count++ > 0)
      _exit(130);
    service.drain();
    server.drain();
    server.stopWhenWritten(options.drainTimeout);
  });
  const std::string address =
      (options.http.certificate.empty() ? "http://" : "https://") +
      hostInUrl(options.http.host) + ":" + std::to_string(server.port());
  std::exception_ptr failure;
  std::thread io([&] {
    try {
      server.run();
    } catch (...) {
      failure = std::current_exception();
    }
  });
  try {
    const auto model = Model::open(options.model);
    const ServedModel told = served(*model, options.alias);
    server.post([&] { service.setReady(told); });
    std::cerr << "fairy2-serve: " << told.id << " at " << address << std::endl;
    io.join();
  } catch (...) {
    server.post([&] { server.stop(); });
    io.join();
    throw;
  }
  if (failure)
    std::rethrow_exception(failure);
}

} // namespace fairy2::serve
