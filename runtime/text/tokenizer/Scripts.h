// SPDX-License-Identifier: Apache-2.0
//
// Scripts of Unicode as Oniguruma names them in regular expressions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fairy2::tokenizer {

/// A property's name without what does not count in it: case, spaces, dashes
/// and underscores.
std::string plainPropertyName(std::string_view name);

/// The characters of the script `name` (plain, long or of four letters), or
/// with `negated` all others, as the inside of a class; nothing for a name that
/// is no script.
std::optional<std::string> scriptMembers(std::string_view name, bool negated);

} // namespace fairy2::tokenizer
