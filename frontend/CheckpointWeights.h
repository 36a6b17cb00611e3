// SPDX-License-Identifier: Apache-2.0
//
// A checkpoint as the compiler's store of weights, whether it holds values or
// phases.
#pragma once

#include "dialect/phase/WeightStore.h"
#include "frontend/PackedCheckpoint.h"

#include <mutex>

namespace fairy2 {

class CheckpointWeights : public WeightStore {
public:
  /// Keeps a reference to `checkpoint`.
  explicit CheckpointWeights(const Checkpoint &checkpoint)
      : checkpoint(checkpoint), packed(PackedCheckpoint::find(checkpoint)) {}

  void readFloats(const std::string &name, int64_t begin, int64_t end,
                  float *out) const override;
  void readBytes(const std::string &name, int64_t begin, int64_t end,
                 uint8_t *out) const override;
  PhaseMatrix readPhases(const std::string &name,
                         const ParallelFor &parallelFor) const override;

private:
  bool isPacked(const std::string &name) const {
    return packed && packed->weights().count(name);
  }
  /// The values of a packed matrix, which stays here until another is asked
  /// for: it is read row by row, by several threads.
  std::shared_ptr<const std::vector<float>>
  dense(const std::string &name) const;

  const Checkpoint &checkpoint;
  std::optional<PackedCheckpoint> packed;
  mutable std::mutex mutex;
  mutable std::string denseName;
  mutable std::shared_ptr<const std::vector<float>> denseValues;
};

} // namespace fairy2
