// SPDX-License-Identifier: Apache-2.0
//
// Classes of characters as the parts of `tokenizers` define them. It takes
// them from several Unicode versions; differences are listed in Unicode.cpp.
#pragma once

namespace fairy2::tokenizer {

/// White_Space: Rust's char::is_whitespace and \s of its regular expressions.
bool isWhitespace(char32_t c);
/// \w of Rust's regular expressions.
bool isWord(char32_t c);

} // namespace fairy2::tokenizer
