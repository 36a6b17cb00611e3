// SPDX-License-Identifier: Apache-2.0
//
// getrusage's peak, and malloc's thresholds, by which freed tensors go back to
// the system.
#include "trainer/run/Memory.h"

#include <malloc.h>
#include <sys/resource.h>

namespace fairy2::trainer {

int64_t peakResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t(usage.ru_maxrss) * 1024;
}

void returnFreedTensors() {
  // Fresh pages cost time, so activations of small models stay on the heap.
  constexpr int kLarge = 4 << 20;
  // As malloc sets both when it adapts them itself, which this ends.
  mallopt(M_MMAP_THRESHOLD, kLarge);
  mallopt(M_TRIM_THRESHOLD, 2 * kLarge);
}

} // namespace fairy2::trainer
