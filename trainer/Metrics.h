// SPDX-License-Identifier: Apache-2.0
//
// What a run tells: a progress line on stderr, one JSON object per line in
// metrics.jsonl, and TensorBoard scalars.
#pragma once

#include "trainer/TensorBoard.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

namespace fairy2 {

class Metrics {
public:
  /// Appends to metrics.jsonl of `folder` when `append`, or else starts it
  /// anew; starts an event file below tensorboard/. Throws Error.
  Metrics(const std::filesystem::path &folder, bool append);

  /// Appends one line to metrics.jsonl. With a "step", its numbers are
  /// TensorBoard scalars as well.
  void write(const nlohmann::ordered_json &values);

  /// Shows the state of the run: in place on a terminal, elsewhere as a line
  /// every ten seconds and at the end.
  void progress(int64_t step, int64_t steps, double loss, double learningRate,
                double tokensPerSecond);

private:
  using Clock = std::chrono::steady_clock;

  std::string path;
  std::optional<TensorBoard> board;
  std::unique_ptr<FILE, int (*)(FILE *)> out;
  Clock::time_point start = Clock::now(), last;
  int64_t firstStep = -1;
};

} // namespace fairy2
