// SPDX-License-Identifier: Apache-2.0
//
// Text of a model on a terminal: what would move the cursor, change colours or
// write to the clipboard is shown instead of obeyed.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace fairy2 {

/// `text`, whole characters of UTF-8, with every control character but newline
/// and tab (C0, DEL, C1) and every character that turns the direction of
/// writing as an escape: \x1b, \u009b, \u202e.
std::string visibleText(std::string_view text);

/// Receives text for the standard output: as it is, or where that is a terminal
/// as visibleText has it. Flushes after each piece.
std::function<void(std::string_view)> standardOutput();

} // namespace fairy2
