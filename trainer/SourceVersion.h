// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace fairy2 {

/// The commit that this program was built from, with "-dirty" behind it when
/// the tree had changes that are not committed; "unknown" outside of git.
std::string sourceVersion();

} // namespace fairy2
