// SPDX-License-Identifier: Apache-2.0
//
// Passes reads on to the checkpoint's tensors, or to its packed phases.
#include "frontend/CheckpointWeights.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>

namespace fairy2 {

std::shared_ptr<const std::vector<float>>
CheckpointWeights::dense(const std::string &name) const {
  const std::lock_guard lock(mutex);
  if (denseName != name) {
    denseValues.reset();
    denseValues = std::make_shared<const std::vector<float>>(
        dequantizePhases(packed->read(name)));
    denseName = name;
  }
  return denseValues;
}

void CheckpointWeights::readFloats(const std::string &name, int64_t begin,
                                   int64_t end, float *out) const {
  if (!isPacked(name))
    return checkpoint.readFloats(checkpoint.tensor(name), begin, end, out);
  const auto values = dense(name);
  std::copy(values->begin() + begin, values->begin() + end, out);
}

void CheckpointWeights::readBytes(const std::string &name, int64_t begin,
                                  int64_t end, uint8_t *out) const {
  if (!isPacked(name))
    return checkpoint.readBytes(checkpoint.tensor(name), begin, end, out);
  const auto values = dense(name);
  std::memcpy(out, reinterpret_cast<const uint8_t *>(values->data()) + begin,
              size_t(end - begin));
}

PhaseMatrix
CheckpointWeights::readPhases(const std::string &name,
                              const ParallelFor &parallelFor) const {
  if (!packed)
    throw Error(checkpoint.directory().string() + ": tensor '" + name +
                "': is not stored as phases");
  return packed->read(name, parallelFor);
}

} // namespace fairy2
