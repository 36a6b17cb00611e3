// SPDX-License-Identifier: Apache-2.0
//
// A run's state on disk, to go on after an interruption, on any number of
// ranks: one folder per saved step, in which each rank writes what it owns
// (latents and the optimizer's states) to rank-R.safetensors, state.json holds
// the position, and SHA256SUMS covers all of them. A folder appears complete,
// in one step, and older ones go only then.
#pragma once

#include "trainer/optimize/Optimizer.h"
#include "trainer/optimize/ShardedWeights.h"
#include "trainer/run/Folders.h"
#include "trainer/run/Sha256Sums.h"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace fairy2::trainer {

struct RunPosition {
  int64_t step = 0;
  int64_t badSteps = 0;
  std::string fingerprint;
};

class TrainingState {
public:
  /// Of the run that writes to `output`; its folders of states are in state/.
  TrainingState(const std::filesystem::path &output, Communicator &ranks)
      : output(output), folder(output / "state"), ranks(ranks) {}

  // All ranks call these together.

  /// Makes the folder for states and keeps other runs from it. Throws Error
  /// where a later save() could not write, when another run writes there, and
  /// when there is no state to go on from but a model, which the run would
  /// overwrite in the end.
  void prepare();
  /// Throws Error on all ranks when one cannot write, its disk being full,
  /// say; what was saved before stays.
  void save(ShardedWeights &weights, Optimizer &optimizer,
            const RunPosition &position);
  /// Loads the newest state in place, bit for bit; nothing when there is none.
  /// Throws Error when it is of another run or of a newer format, a file has
  /// not the SHA-256 that SHA256SUMS names, or a tensor is not the run's: of
  /// another length, not float32, or with values that are not finite.
  std::optional<RunPosition> load(ShardedWeights &weights, Optimizer &optimizer,
                                  const std::string &fingerprint) const;
  /// Removes all that was saved: the run is over.
  void clear();

private:
  /// Runs `action` on all ranks; when it throws on one, all throw.
  void together(const char *otherRanksFailure,
                const std::function<void()> &action) const;
  void restore(const std::filesystem::path &from, ShardedWeights &weights,
               Optimizer &optimizer) const;
  /// Returns the file's SHA-256.
  std::string writeOwn(const std::filesystem::path &target,
                       ShardedWeights &weights, Optimizer &optimizer) const;
  /// The hashes of all ranks' files, of which each knows its own.
  Sha256Sums exchanged(const std::string &ownHash) const;
  void writeIndex(const std::filesystem::path &target, ShardedWeights &weights,
                  const Optimizer &optimizer, const RunPosition &position,
                  const Sha256Sums &hashes) const;

  /// The folder of the newest state; nothing when there is none.
  std::optional<std::filesystem::path> newest() const;

  std::filesystem::path output, folder;
  std::optional<FolderLock> lock; ///< of rank 0
  Communicator &ranks;
};

} // namespace fairy2::trainer
