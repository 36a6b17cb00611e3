// SPDX-License-Identifier: Apache-2.0
//
// Options, and the words that some of them take.
#include "tools/fairy2-serve/Options.h"

#include "tools/HugePagesOption.h"
#include "tools/ParsingEnd.h"
#include "tools/Validators.h"

#include <CLI/CLI.hpp>

#include <map>

namespace fairy2 {
namespace {

const std::map<std::string, serve::LogForm> kLogForms = {
    {"text", serve::LogForm::Text},
    {"json", serve::LogForm::Json},
    {"off", serve::LogForm::Off}};

const std::map<std::string, CacheUse> kCacheUses = {
    {"per-key", CacheUse::PerOwner},
    {"shared", CacheUse::Shared},
    {"off", CacheUse::Off}};

struct Typed {
  int64_t drain = 30;
  uint64_t kvMebibytes = 0;
  std::string cache = "per-key", log = "text";
};

void addOptions(CLI::App &app, serve::ServeOptions &options, Typed &typed) {
  app.set_version_flag("--version", "fairy2-serve " FAIRY2_VERSION);
  app.footer("Example: fairy2-serve model.so --port 8080\n"
             "A key may also stand in the environment as FAIRY2_API_KEY.");
  app.add_option("model", options.model, "Compiled model")->required();
  app.add_option("--host", options.http.host, "Address to listen at")
      ->capture_default_str();
  app.add_option("--port", options.http.port, "0: any that is free")
      ->check(wholeNumber<uint16_t>())
      ->capture_default_str();
  app.add_option("--alias", options.alias,
                 "Name of the model; default: that of its file");
  app.add_option("--threads", options.session.threads,
                 "0: as many usable cores as pay");
  app.add_option("--slots", options.session.slots,
                 "Sequences that are generated at once")
      ->check(wholeNumber<int32_t>(1, 1024))
      ->capture_default_str();
  app.add_option("--context", options.session.context,
                 "Positions of each; 0: the model's maximum, at most 4096")
      ->check(wholeNumber<int32_t>(0));
  addHugePages(app, options.session.hugePages);
  app.add_option("--api-key-file", options.keyFile,
                 "File with a key a line; requests must bring one of them")
      ->check(fileName());
  app.add_flag("--allow-anonymous", options.allowAnonymous,
               "Serve other machines without a key");
  app.add_option("--allow-host", options.guard.hosts,
                 "Name that clients know this server by (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--cors-origin", options.guard.origins,
                 "Origin of web pages that may ask, such as "
                 "https://chat.example (repeatable)")
      ->allow_extra_args(false);
  CLI::Option *certificate =
      app.add_option("--tls-cert", options.http.certificate,
                     "PEM file with the certificate and its chain")
          ->check(fileName());
  CLI::Option *key = app.add_option("--tls-key", options.http.privateKey,
                                    "PEM file with its private key")
                         ->check(fileName());
  certificate->needs(key);
  key->needs(certificate);
  app.add_option("--drain-timeout", typed.drain,
                 "Seconds that replies under way have after SIGTERM")
      ->check(wholeNumber<int64_t>(0, 86'400))
      ->capture_default_str();
  app.add_option("--kv-memory", typed.kvMebibytes,
                 "MiB for the KV cache of all; 0: half of what is free")
      ->check(wholeNumber<uint64_t>(0, uint64_t(1) << 32))
      ->capture_default_str();
  app.add_option("--cache", typed.cache,
                 "Whose starts of prompts are computed once: per-key, shared, "
                 "off")
      ->check(CLI::IsMember(kCacheUses))
      ->capture_default_str();
  app.add_flag("--bos-for-ids", options.bosForIds,
               "Put an unseen BOS before prompts of token ids that lack it, as "
               "the lm-eval harness expects");
  app.add_option("--log", typed.log, "A line for each reply: text, json or off")
      ->check(CLI::IsMember(kLogForms))
      ->capture_default_str();
}

} // namespace

std::optional<int> parseCommandLine(int argc, char **argv,
                                    serve::ServeOptions &options) {
  options.session.slots = 8;
  Typed typed;
  CLI::App app("Serve a compiled Fairy2 model over HTTP, as OpenAI's API.");
  addOptions(app, options, typed);
  readPaddedNumbers(app);
  try {
    app.parse(argc, argv);
    checkUsage([&] { checkThreads(options.session.threads); });
  } catch (const CLI::ParseError &error) {
    return endParsing(app, error, "fairy2-serve");
  }
  options.log = kLogForms.at(typed.log);
  options.kvMemory = typed.kvMebibytes << 20;
  options.cache = kCacheUses.at(typed.cache);
  options.drainTimeout = std::chrono::seconds(typed.drain);
  return {};
}

} // namespace fairy2
