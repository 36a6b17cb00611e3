// SPDX-License-Identifier: Apache-2.0
//
// What a run leaves in its output folder besides its saved states, and what of
// it belongs to whom: a run removes and overwrites nothing that no run wrote.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace fairy2::trainer {

inline constexpr const char *kMetricsFile = "metrics.jsonl";
inline constexpr const char *kReportFile = "report.html";
inline constexpr const char *kEventsFolder = "tensorboard";
inline constexpr const char *kStateFolder = "state";

class RunFolder {
public:
  explicit RunFolder(std::filesystem::path output)
      : output(std::move(output)) {}

  /// Whether the run of that fingerprint has ended here, with its export.
  bool isFinished(const std::string &fingerprint) const;
  void markFinished(const std::string &fingerprint, int64_t steps) const;
  /// Throws Error when a run that begins here would overwrite a model, or files
  /// that no run wrote.
  void requireFree() const;
  /// Removes what an earlier run wrote here, when one did.
  void removeEarlierRun() const;

private:
  bool isOfARun() const;

  std::filesystem::path output;
};

/// Throws Error when the file system of `folder`, which exists, has less than
/// `bytes` left; `what` says what they are for.
void requireSpace(const std::filesystem::path &folder, int64_t bytes,
                  const std::string &what);

} // namespace fairy2::trainer
