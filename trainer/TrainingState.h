// SPDX-License-Identifier: Apache-2.0
//
// A run's state on disk, to go on after an interruption, on any number of
// ranks: one folder per saved step, in which each rank writes what it owns
// (latents and AdamW's moments) to rank-R.safetensors, and state.json holds the
// position. A folder appears complete, in one step, and older ones go only
// then.
#pragma once

#include "trainer/Optimizer.h"
#include "trainer/ShardedWeights.h"

#include <filesystem>
#include <optional>
#include <string>

namespace fairy2 {

struct RunPosition {
  int64_t step = 0;
  int64_t badSteps = 0;
  std::string fingerprint;
};

class TrainingState {
public:
  TrainingState(std::filesystem::path folder, Communicator &ranks)
      : folder(std::move(folder)), ranks(ranks) {}

  // All ranks call these together.

  /// Throws Error on all ranks when one cannot write, its disk being full,
  /// say; what was saved before stays.
  void save(ShardedWeights &weights, AdamW &optimizer,
            const RunPosition &position);
  /// Loads the newest state in place, bit for bit; nothing when there is none.
  /// Throws Error when it is of another run, or a file has not the SHA-256 that
  /// state.json names.
  std::optional<RunPosition> load(ShardedWeights &weights, AdamW &optimizer,
                                  const std::string &fingerprint) const;
  /// Removes all that was saved: the run is over.
  void clear();

private:
  void writeOwn(const std::filesystem::path &target, ShardedWeights &weights,
                AdamW &optimizer) const;
  void writeIndex(const std::filesystem::path &target, ShardedWeights &weights,
                  const RunPosition &position, int64_t optimizerSteps) const;

  std::filesystem::path folder;
  Communicator &ranks;
};

} // namespace fairy2
