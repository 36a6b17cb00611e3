// SPDX-License-Identifier: Apache-2.0
//
// fairy2-train as a user starts it, on a tiny model.
#pragma once

#include "runtime/support/File.h"
#include "test/unit/trainer/TinyModels.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace fairy2::trainer {

struct Outcome {
  int status;
  std::string text;
};

/// A recipe for a tiny model, and ways to start runs of it.
class CommandLine : public testing::Test {
protected:
  CommandLine() {
    writeTinyModel(folder / "model");
    folder.write("train.txt", tinyText(400, 1));
    folder.write("val.txt", tinyText(60, 2));
    folder.write("r.yaml",
                 "model: " + (folder / "model").string() +
                     "\ndata:\n  train: " + (folder / "train.txt").string() +
                     "\n  validation: " + (folder / "val.txt").string() +
                     "\n  sequence_length: 48\ntrain:\n  tokens: 2000"
                     "\n  batch_sequences: 2\n");
  }

  Outcome run(const std::string &arguments,
              const std::string &environment = "") const {
    return call(environment + " " + FAIRY2_TRAIN + " " +
                (folder / "r.yaml").string() + " " + arguments);
  }
  /// A file of /proc, whose size is not known.
  static std::string readAll(const std::string &path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// A run in a process of its own, whose stderr goes to `log`.
  pid_t start(std::vector<std::string> arguments,
              const std::string &log = "") const {
    arguments.insert(arguments.begin(),
                     {FAIRY2_TRAIN, (folder / "r.yaml").string()});
    std::vector<char *> pointers;
    for (std::string &argument : arguments)
      pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      if (!log.empty() && !std::freopen(log.c_str(), "a", stderr))
        std::_Exit(126);
      ::execv(FAIRY2_TRAIN, pointers.data());
      std::_Exit(127);
    }
    return child;
  }
  static void await(const std::function<bool()> &happened) {
    for (int i = 0; i < 1200; ++i) {
      if (happened())
        return;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    ADD_FAILURE() << "did not happen in a minute";
  }
  /// Until a run is about to do its first step.
  void awaitMetrics(const char *name) const {
    await([&] {
      std::error_code absent;
      const auto size =
          std::filesystem::file_size(folder / name / "metrics.jsonl", absent);
      return !absent && size > 0;
    });
  }
  static Outcome call(const std::string &command) {
    Outcome outcome;
    FILE *pipe = popen(("(" + command + ") 2>&1").c_str(), "r");
    char buffer[4096];
    while (const size_t size = std::fread(buffer, 1, sizeof buffer, pipe))
      outcome.text.append(buffer, size);
    const int status = pclose(pipe);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return outcome;
  }
  std::string output(const char *name) const {
    return "output=" + (folder / name).string();
  }
  /// The last line of a run's metrics that has `field`.
  nlohmann::json lastLineWith(const char *field, const char *name) const {
    std::ifstream file(folder / name / "metrics.jsonl");
    nlohmann::json last;
    for (std::string line; std::getline(file, line);)
      if (nlohmann::json values = nlohmann::json::parse(line);
          values.contains(field))
        last = std::move(values);
    return last;
  }
  nlohmann::json lastStep(const char *name) const {
    return lastLineWith("loss", name);
  }
  double lastLoss(const char *name) const {
    return lastStep(name)["loss"].get<double>();
  }
  std::string weights(const char *name) const {
    return readWholeFile(folder / name / "model.safetensors");
  }

  TemporaryFolder folder;
};

} // namespace fairy2::trainer
