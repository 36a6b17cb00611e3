// SPDX-License-Identifier: Apache-2.0
//
// Which cores this process may use, by its affinity mask and by the CPU quota
// of its control groups (containers).
#pragma once

#include <vector>

namespace fairy2 {

/// Numbers of the cores in the calling thread's affinity mask, ascending.
std::vector<int> allowedCores();

/// How many threads run at full speed: the allowed cores, or the whole cores
/// of a smaller quota. At least 1.
int usableCores();

} // namespace fairy2
