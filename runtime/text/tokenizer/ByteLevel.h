// SPDX-License-Identifier: Apache-2.0
//
// The alphabet of byte-level tokenizers: a printable character for each byte.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace fairy2::tokenizer {

/// The character that stands for each byte: itself where printable in Latin-1,
/// else one from U+0100 on.
const std::array<char32_t, 256> &byteCharacters();

/// Appends the characters of `bytes`.
void appendByteCharacters(std::string &out, std::string_view bytes);

/// Appends the bytes for which the characters of `text` (valid UTF-8) stand;
/// returns false, `out` unchanged, if one of them stands for none.
bool appendBytesOfCharacters(std::string &out, std::string_view text);

} // namespace fairy2::tokenizer
