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

/// `text` as one word of a shell's command, in quotes where it needs them.
std::string shellWord(const std::string &text);

} // namespace fairy2
