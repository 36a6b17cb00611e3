// SPDX-License-Identifier: Apache-2.0
//
// What a run tells: a progress line on stderr, one JSON object per line in
// metrics.jsonl, and TensorBoard scalars.
#pragma once

#include "trainer/run/TensorBoard.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace fairy2::trainer {

/// A time that is left, for people: "9:05", "3 h 07 min" or "2 d 04 h".
std::string timeText(int64_t seconds);

class Metrics {
public:
  /// Goes on in `folder` after step `done`: what metrics.jsonl says of later
  /// steps, which will be done again, and a line that a crash cut go. With 0
  /// all begins anew. Starts an event file below tensorboard/. Throws Error.
  Metrics(const std::filesystem::path &folder, int64_t done);
  ~Metrics() { endLine(); }

  /// Whether a run's metrics are in `folder`.
  static bool areThere(const std::filesystem::path &folder);

  /// Appends one line to metrics.jsonl. With a "step", its numbers are
  /// TensorBoard scalars as well.
  void write(const nlohmann::ordered_json &values);

  /// Shows the state of the run: in place on a terminal, elsewhere as a line
  /// every ten seconds and at the end.
  void progress(int64_t step, int64_t steps, double loss, double learningRate,
                double tokensPerSecond);

  /// Writes a line to stderr, below the progress.
  void tell(const std::string &text);

private:
  void endLine();

  using Clock = std::chrono::steady_clock;

  std::string path;
  std::optional<TensorBoard> board;
  std::unique_ptr<FILE, int (*)(FILE *)> out;
  Clock::time_point start = Clock::now(), last;
  bool lineOpen = false; ///< the terminal's cursor is behind the progress
  int64_t firstStep = -1;
};

} // namespace fairy2::trainer
