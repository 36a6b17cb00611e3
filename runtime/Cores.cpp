// SPDX-License-Identifier: Apache-2.0
//
// Reads the affinity mask and the quotas of control groups.
#include "runtime/Cores.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace fairy2 {
namespace {

std::optional<double> coresOf(double quota, double period) {
  if (quota > 0 && period > 0)
    return quota / period;
  return std::nullopt;
}

/// The limit of one group. Version 2 has a file cpu.max with "QUOTA PERIOD" in
/// microseconds, or "max PERIOD"; version 1 a file for each, with -1 for none.
std::optional<double> limitOf(const std::filesystem::path &group) {
  double quota = 0, period = 0;
  if (std::ifstream(group / "cpu.max") >> quota >> period)
    return coresOf(quota, period);
  if (std::ifstream(group / "cpu.cfs_quota_us") >> quota &&
      std::ifstream(group / "cpu.cfs_period_us") >> period)
    return coresOf(quota, period);
  return std::nullopt;
}

/// Where a group of the given controllers ("" in version 2) may be mounted.
std::vector<std::filesystem::path> mountsOf(const std::string &controllers,
                                            const std::filesystem::path &root) {
  if (controllers.empty())
    return {root, root / "unified"};
  if (("," + controllers + ",").find(",cpu,") == std::string::npos)
    return {};
  return {root / controllers, root / "cpu"};
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
  std::optional<double> least;
  const auto consider = [&](const std::filesystem::path &folder) {
    if (const auto limit = limitOf(folder))
      least = std::min(least.value_or(*limit), *limit);
  };
  std::ifstream in(membership);
  // Lines are "NUMBER:CONTROLLERS:/GROUP". In a container the group may be
  // named as the host sees it, while its own files are mounted at the root.
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(":/", first + 1);
    if (first == std::string::npos || second == std::string::npos)
      continue;
    const std::filesystem::path group = line.substr(second + 2);
    const std::string controllers = line.substr(first + 1, second - first - 1);
    for (std::filesystem::path folder : mountsOf(controllers, root)) {
      consider(folder);
      for (const std::filesystem::path &part : group)
        consider(folder /= part);
    }
  }
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
