// SPDX-License-Identifier: Apache-2.0
//
// Regular expressions that have matchers of their own.
#pragma once

#include "runtime/text/tokenizer/Pattern.h"

namespace fairy2::tokenizer {

/// What the ByteLevel pre-tokenizer splits by, and with it GPT-2 and SmolLM.
constexpr std::string_view gpt2Regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view llama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view qwen2Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// The matcher for the exact text of a known pattern, else null.
std::unique_ptr<Pattern> makeKnownPattern(std::string_view regex);

} // namespace fairy2::tokenizer
