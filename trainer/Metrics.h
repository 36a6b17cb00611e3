// SPDX-License-Identifier: Apache-2.0
//
// What a run tells: a progress line on stderr and one JSON object per line in
// metrics.jsonl.
#pragma once

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>

namespace fairy2 {

class Metrics {
public:
  /// Appends to `file` when `append`, or else starts it anew. Throws Error.
  Metrics(const std::filesystem::path &file, bool append);

  /// Appends one line to the file.
  void write(const nlohmann::ordered_json &values);

  /// Shows the state of the run: in place on a terminal, elsewhere as a line
  /// every ten seconds and at the end.
  void progress(int64_t step, int64_t steps, double loss, double learningRate,
                double tokensPerSecond);

private:
  using Clock = std::chrono::steady_clock;

  std::string path;
  std::unique_ptr<FILE, int (*)(FILE *)> out;
  Clock::time_point start = Clock::now(), last;
  int64_t firstStep = -1;
};

} // namespace fairy2
