// SPDX-License-Identifier: Apache-2.0
//
// A checkpoint as the compiler's store of weights.
#pragma once

#include "dialect/WeightStore.h"
#include "frontend/Checkpoint.h"

namespace fairy2 {

class CheckpointWeights : public WeightStore {
public:
  explicit CheckpointWeights(const Checkpoint &checkpoint)
      : checkpoint(checkpoint) {}

  void readFloats(const std::string &name, int64_t begin, int64_t end,
                  float *out) const override {
    checkpoint.readFloats(checkpoint.tensor(name), begin, end, out);
  }
  void readBytes(const std::string &name, int64_t begin, int64_t end,
                 uint8_t *out) const override {
    checkpoint.readBytes(checkpoint.tensor(name), begin, end, out);
  }

private:
  const Checkpoint &checkpoint;
};

} // namespace fairy2
