// SPDX-License-Identifier: Apache-2.0
//
// What control groups (containers) leave to this process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace fairy2 {

/// Where the kernel tells of control groups.
struct ControlGroups {
  /// The groups of this process.
  std::filesystem::path membership = "/proc/self/cgroup";
  /// Where groups are mounted: version 2 there or in `unified`, version 1 in a
  /// folder by the controllers' names.
  std::filesystem::path root = "/sys/fs/cgroup";
};

/// The smallest CPU quota of the process's groups and their ancestors, in
/// cores; none without a limit.
std::optional<double> cpuLimit(const ControlGroups &groups = {});

/// The bytes that the process's groups and their ancestors leave of their
/// memory limits, the least of them; none without a limit.
std::optional<uint64_t> memoryLeft(const ControlGroups &groups = {});

/// Bytes of memory that may still be used: the least of what the machine has
/// and of memoryLeft(); the largest number where neither can be read.
uint64_t availableMemory();

} // namespace fairy2
