// SPDX-License-Identifier: Apache-2.0
//
// A run's state on disk, to go on after an interruption: one folder per saved
// step with model.safetensors (latents and AdamW's moments) and state.json. A
// folder appears complete, in one step, and older ones go only then.
#pragma once

#include "trainer/Model.h"
#include "trainer/Optimizer.h"

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
  explicit TrainingState(std::filesystem::path folder)
      : folder(std::move(folder)) {}

  /// Throws Error when the disk is full, say; what was saved before stays.
  void save(const Model &model, AdamW &optimizer, const RunPosition &position);
  /// Loads the newest state in place, bit for bit; nothing when there is none.
  /// Throws Error when it is of another run.
  std::optional<RunPosition> load(Model &model, AdamW &optimizer,
                                  const std::string &fingerprint) const;
  /// Removes all that was saved: the run is over.
  void clear();

private:
  std::filesystem::path folder;
};

} // namespace fairy2
