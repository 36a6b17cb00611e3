// SPDX-License-Identifier: Apache-2.0
//
// A run's state on disk, to go on after an interruption, on any number of
// ranks: one folder per saved step, in which each rank writes what it owns
// (latents and the optimizer's states) to rank-R.safetensors, state.json holds
// the position, and SHA256SUMS covers all of them. A folder appears complete,
// in one step and on the disk itself, and older ones go only then.
#pragma once

#include "trainer/optimize/Optimizer.h"
#include "trainer/optimize/ShardedWeights.h"
#include "trainer/run/Fingerprint.h"
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
};

class TrainingState {
public:
  /// Of the run that writes to `output`; its folders of states are in state/,
  /// of which the newest `keepLast` stay.
  TrainingState(const std::filesystem::path &output, Communicator &ranks,
                int64_t keepLast);

  // All ranks call these together.

  /// Makes the folder for states, keeps other runs from it, and agrees with the
  /// other ranks on the state to go on from. Throws Error where a later save()
  /// could not write, when another run writes there, when a rank does not see
  /// what it needs (`everyRankWrites`: all, in save()), and when there is no
  /// state to go on from but files that the run would overwrite.
  void prepare(bool everyRankWrites);
  /// Whether there is a state to go on from; known after prepare().
  bool exists() const { return newest >= 0; }
  /// Bytes that saved states take now; of rank 0.
  int64_t bytes() const;
  /// Throws Error on all ranks when one cannot write, its disk being full,
  /// say; what was saved before stays. Nothing when that step is saved already.
  void save(ShardedWeights &weights, Optimizer &optimizer,
            const RunPosition &position, const RunIdentity &run);
  /// Loads the newest state in place, bit for bit; nothing when there is none.
  /// Throws Error when it is of another run, of a newer format or of a step
  /// beyond `steps`, a file has not the SHA-256 that SHA256SUMS names, or a
  /// tensor is not the run's: of another length, not float32, or with values
  /// that are not finite.
  std::optional<RunPosition> load(ShardedWeights &weights, Optimizer &optimizer,
                                  const RunIdentity &run, int64_t steps) const;
  /// Removes all that was saved: the run is over.
  void clear();

private:
  void requireShared(bool everyRankWrites) const;
  void restore(const std::filesystem::path &from, ShardedWeights &weights,
               Optimizer &optimizer) const;
  /// Returns the file's SHA-256.
  std::string writeOwn(const std::filesystem::path &target,
                       ShardedWeights &weights, Optimizer &optimizer) const;
  /// The hashes of all ranks' files, of which each knows its own.
  Sha256Sums exchanged(const std::string &ownHash) const;
  void writeIndex(const std::filesystem::path &target, ShardedWeights &weights,
                  const Optimizer &optimizer, const RunPosition &position,
                  const RunIdentity &run, const Sha256Sums &hashes) const;
  std::filesystem::path folderOf(int64_t step) const;
  /// A folder that was written for that step takes its place.
  void publish(const std::filesystem::path &temporary, int64_t step);

  std::filesystem::path output, folder;
  std::optional<FolderLock> lock; ///< of rank 0
  Communicator &ranks;
  const int64_t keepLast;
  int64_t newest = -1; ///< step of the newest state
};

/// The file in which a run that writes to `output` keeps the hashes of what it
/// reads.
std::filesystem::path hashCacheIn(const std::filesystem::path &output);

/// Removes the files of saved states in `folder`, and the folders that are then
/// empty.
void removeStates(const std::filesystem::path &folder);

} // namespace fairy2::trainer
