// SPDX-License-Identifier: Apache-2.0
//
// Reads the limits of control groups, versions 1 and 2.
#include "runtime/ControlGroups.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {
namespace {

namespace fs = std::filesystem;

/// The file's first word as a number; none where that is "max" or -1.
std::optional<uint64_t> numberIn(const fs::path &file) {
  std::ifstream in(file);
  int64_t value = 0;
  if (in >> value && value >= 0)
    return uint64_t(value);
  return std::nullopt;
}

/// The number after `key` in a file of lines "key number".
std::optional<uint64_t> numberIn(const fs::path &file, std::string_view key) {
  std::ifstream in(file);
  for (std::string word; in >> word;) {
    uint64_t value = 0;
    if (word == key && in >> value)
      return value;
  }
  return std::nullopt;
}

/// Where groups of the given controllers ("" in version 2) may be mounted, if
/// the one that is sought is among them.
std::vector<fs::path> mountsOf(const std::string &controllers,
                               const std::string &sought,
                               const fs::path &root) {
  if (controllers.empty())
    return {root, root / "unified"};
  if (("," + controllers + ",").find("," + sought + ",") == std::string::npos)
    return {};
  return {root / controllers, root / sought};
}

/// The least that `limitOf(folder)` finds in the folders of the process's
/// groups for the controller, and of the groups above.
template <typename LimitOf>
auto leastOf(const ControlGroups &groups, const std::string &controller,
             LimitOf limitOf) {
  decltype(limitOf(groups.root)) least;
  const auto consider = [&](const fs::path &folder) {
    if (const auto limit = limitOf(folder))
      least = std::min(least.value_or(*limit), *limit);
  };
  std::ifstream in(groups.membership);
  // Lines are "NUMBER:CONTROLLERS:/GROUP". In a container the group may be
  // named as the host sees it, while its own files are mounted at the root.
  for (std::string line; std::getline(in, line);) {
    const size_t first = line.find(':'), second = line.find(":/", first + 1);
    if (first == std::string::npos || second == std::string::npos)
      continue;
    const fs::path group = line.substr(second + 2);
    const std::string controllers = line.substr(first + 1, second - first - 1);
    for (fs::path folder : mountsOf(controllers, controller, groups.root)) {
      consider(folder);
      for (const fs::path &part : group)
        consider(folder /= part);
    }
  }
  return least;
}

std::optional<double> coresOf(double quota, double period) {
  if (quota > 0 && period > 0)
    return quota / period;
  return std::nullopt;
}

/// Version 2 has a file cpu.max with "QUOTA PERIOD" in microseconds, or "max
/// PERIOD"; version 1 a file for each, with -1 for none.
std::optional<double> cpuLimitOf(const fs::path &group) {
  double quota = 0, period = 0;
  if (std::ifstream(group / "cpu.max") >> quota >> period)
    return coresOf(quota, period);
  if (std::ifstream(group / "cpu.cfs_quota_us") >> quota &&
      std::ifstream(group / "cpu.cfs_period_us") >> period)
    return coresOf(quota, period);
  return std::nullopt;
}

/// Version 2 says "max" for no limit, version 1 a number beyond all memory.
/// The kernel counts files that it holds in memory as used, and drops those
/// that nobody has read lately when the memory is wanted.
std::optional<uint64_t> memoryLeftOf(const fs::path &group) {
  const auto left = [&](const char *limitName, const char *usedName,
                        const char *cachedName) -> std::optional<uint64_t> {
    const auto limit = numberIn(group / limitName);
    if (!limit)
      return std::nullopt;
    const uint64_t used = numberIn(group / usedName).value_or(0);
    const uint64_t cached =
        numberIn(group / "memory.stat", cachedName).value_or(0);
    return *limit - std::min(*limit, used - std::min(used, cached));
  };
  if (const auto bytes = left("memory.max", "memory.current", "inactive_file"))
    return bytes;
  return left("memory.limit_in_bytes", "memory.usage_in_bytes",
              "total_inactive_file");
}

} // namespace

std::optional<double> cpuLimit(const ControlGroups &groups) {
  return leastOf(groups, "cpu", cpuLimitOf);
}

std::optional<uint64_t> memoryLeft(const ControlGroups &groups) {
  return leastOf(groups, "memory", memoryLeftOf);
}

uint64_t availableMemory() {
  const uint64_t unknown = std::numeric_limits<uint64_t>::max();
  const auto kilobytes = numberIn("/proc/meminfo", "MemAvailable:");
  return std::min(kilobytes ? *kilobytes * 1024 : unknown,
                  memoryLeft().value_or(unknown));
}

} // namespace fairy2
