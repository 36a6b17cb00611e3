// SPDX-License-Identifier: Apache-2.0
//
// Scalars in TensorBoard's event files: TFRecord frames around protobuf
// messages, both simple enough to write by hand.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace fairy2::trainer {

/// CRC-32C (Castagnoli).
uint32_t crc32c(std::string_view bytes);

class TensorBoard {
public:
  /// Starts a new event file in `folder`. What other files there hold of
  /// `firstStep` and later is to be forgotten. Throws Error.
  TensorBoard(const std::filesystem::path &folder, int64_t firstStep);

  /// Removes the event files that runs of fairy2-train left in `folder`, and
  /// the folder when nothing else is there.
  static void removeEvents(const std::filesystem::path &folder);

  /// Throws Error when the disk is full.
  void scalar(const std::string &tag, int64_t step, float value);

private:
  void record(const std::string &event);

  std::string path;
  std::unique_ptr<FILE, int (*)(FILE *)> out;
};

} // namespace fairy2::trainer
