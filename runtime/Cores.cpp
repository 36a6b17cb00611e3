// SPDX-License-Identifier: Apache-2.0
//
// Reads the affinity mask.
#include "runtime/Cores.h"

#include "runtime/ControlGroups.h"

#include <sched.h>

#include <algorithm>

namespace fairy2 {

std::vector<int> allowedCores() {
  std::vector<int> cores;
  // The kernel refuses masks that are smaller than its own.
  for (int count = 1024; count <= 1 << 20; count *= 2) {
    const size_t bytes = CPU_ALLOC_SIZE(count);
    cpu_set_t *mask = CPU_ALLOC(count);
    const bool known = mask && sched_getaffinity(0, bytes, mask) == 0;
    for (int core = 0; known && core < count; ++core)
      if (CPU_ISSET_S(core, bytes, mask))
        cores.push_back(core);
    CPU_FREE(mask);
    if (known)
      break;
  }
  return cores;
}

int usableCores() {
  const int allowed = std::max<int>(1, int(allowedCores().size()));
  const auto limit = cpuLimit();
  if (!limit || *limit >= allowed)
    return allowed;
  return std::max(1, int(*limit));
}

} // namespace fairy2
