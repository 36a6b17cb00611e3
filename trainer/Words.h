// SPDX-License-Identifier: Apache-2.0
//
// Lists and near misses for error messages.
#pragma once

#include <string>
#include <vector>

namespace fairy2 {

/// "a, b, c".
std::string joined(const std::vector<std::string> &words);

/// "; did you mean 'x'?" for the nearest of `names`, or nothing when none is
/// near.
std::string didYouMean(const std::string &word,
                       const std::vector<std::string> &names);

} // namespace fairy2
