// SPDX-License-Identifier: Apache-2.0
//
// Which cores this process may use, by its affinity mask and by the CPU quota
// of its control groups (containers).
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

namespace fairy2 {

/// Numbers of the cores in the calling thread's affinity mask, ascending.
std::vector<int> allowedCores();

/// The smallest quota of the process's control groups and their ancestors, in
/// cores; none without a limit. `membership` is /proc/self/cgroup, `root` the
/// place where cgroups are mounted: version 2 there or in `unified`, version 1
/// in a folder by the controllers' names.
std::optional<double> cgroupCpuLimit(const std::filesystem::path &membership,
                                     const std::filesystem::path &root);

/// How many threads run at full speed: the allowed cores, or the whole cores
/// of a smaller quota. At least 1.
int usableCores();

} // namespace fairy2
