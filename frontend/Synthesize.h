// SPDX-License-Identifier: Apache-2.0
//
// A random checkpoint with the names and shapes of a real model, for work on
// speed and memory where no trained weights are at hand. Weights are normal
// with deviation 0.02, norms are 1 plus that (Gemma stores them less 1).
#pragma once

#include "frontend/DType.h"
#include "frontend/HFConfig.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace fairy2 {

struct SynthesizeOptions {
  uint64_t seed = 0;
  /// The stored type; by default what the config declares, or else BF16.
  std::optional<DType> type = std::nullopt;
  /// No file has more bytes of data, unless a single tensor has.
  int64_t shardBytes = int64_t(5'000'000'000);
  /// Whether to write a tokenizer.json whose tokens are the 256 bytes.
  bool byteTokenizer = false;
  /// Whether `directory` may hold files already. Those that a checkpoint of
  /// this program has (config.json, shards of weights and their index, with
  /// byteTokenizer tokenizer.json) are replaced or removed, others stay.
  bool overwrite = false;
  bool allowsUnknownFields = false; ///< in the config
  /// Told the bytes written so far and in all, often.
  std::function<void(int64_t done, int64_t total)> progress = nullptr;
};

struct SynthesizeResult {
  int64_t parameters = 0;
  int64_t bytes = 0;                      ///< of all tensors
  int files = 0;                          ///< safetensors files
  std::vector<std::string> unknownFields; ///< of the config, where allowed
};

/// Writes the checkpoint that `configFile` describes to `directory`, and a copy
/// of `configFile` as config.json. A tensor's values depend on seed, name and
/// type alone. Files get their final names when all are complete; after an
/// error nothing is left behind. Throws Error.
SynthesizeResult synthesizeCheckpoint(const std::filesystem::path &configFile,
                                      const std::filesystem::path &directory,
                                      const SynthesizeOptions &options);

} // namespace fairy2
