// SPDX-License-Identifier: Apache-2.0
//
// Reads the affinity mask and cgroup v2's cpu.max files.
#include "runtime/Cores.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace fairy2 {
namespace {

/// A cpu.max file holds "QUOTA PERIOD" in microseconds, or "max PERIOD".
std::optional<double> readCpuMax(const std::filesystem::path &file) {
  std::ifstream in(file);
  double quota = 0, period = 0;
  if (in >> quota >> period && quota > 0 && period > 0)
    return quota / period;
  return std::nullopt;
}

} // namespace

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

std::optional<double> cgroupCpuLimit(const std::filesystem::path &membership,
                                     const std::filesystem::path &root) {
  std::ifstream in(membership);
  std::string line;
  std::filesystem::path group;
  while (std::getline(in, line))
    if (line.starts_with("0::/"))
      group = line.substr(4);
  std::optional<double> least;
  const auto consider = [&](const std::filesystem::path &folder) {
    if (const auto limit = readCpuMax(folder / "cpu.max"))
      least = std::min(least.value_or(*limit), *limit);
  };
  consider(root);
  std::filesystem::path folder = root;
  for (const std::filesystem::path &part : group)
    consider(folder /= part);
  return least;
}

int usableCores() {
  const int allowed = std::max<int>(1, int(allowedCores().size()));
  const auto limit = cgroupCpuLimit("/proc/self/cgroup", "/sys/fs/cgroup");
  if (!limit || *limit >= allowed)
    return allowed;
  return std::max(1, int(*limit));
}

} // namespace fairy2
