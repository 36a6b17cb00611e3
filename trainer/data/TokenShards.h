// SPDX-License-Identifier: Apache-2.0
//
// Text that somebody else has tokenized: llm.c's .bin shards and Megatron's
// .idx with its .bin.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>

namespace fairy2::trainer {

/// Hands on the tokens of a shard, in order and in pieces: of llm.c when `path`
/// ends in .bin (magic 20240520, uint16, or 20240801, uint32), of Megatron when
/// it ends in .idx. Megatron's documents are put between `before` and `after`;
/// llm.c's shards hold their separators. Throws Error naming the file.
void readTokenShard(
    const std::filesystem::path &path, std::optional<int32_t> before,
    std::optional<int32_t> after,
    const std::function<void(std::span<const int32_t> tokens)> &use);

/// Whether `path` names a shard and not text.
bool isTokenShard(const std::filesystem::path &path);

} // namespace fairy2::trainer
