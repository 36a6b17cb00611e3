// SPDX-License-Identifier: Apache-2.0
//
// Names, lists and near misses for error messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

/// `text` in quotes and fit for a terminal: what visibleText() would show and
/// broken UTF-8 is escaped or replaced, and what is long is cut.
std::string quoteName(std::string_view text, char quote = '\'');

/// "a, b, c".
std::string joined(const std::vector<std::string> &words);

/// "; did you mean 'x'?" for the nearest of `names`, or nothing when none is
/// near.
std::string didYouMean(const std::string &word,
                       const std::vector<std::string> &names);

/// `text` as one word of a shell's command, in quotes where it needs them.
std::string shellWord(const std::string &text);

} // namespace fairy2
