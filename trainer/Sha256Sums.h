// SPDX-License-Identifier: Apache-2.0
//
// SHA256SUMS: the hashes of a folder's files, as sha256sum(1) of the GNU
// coreutils writes and checks them.
#pragma once

#include <filesystem>

namespace fairy2 {

/// Hashes all files of `folder` into its SHA256SUMS. Throws Error.
void writeSha256Sums(const std::filesystem::path &folder);

/// Throws Error naming the first file whose content is not the one that was
/// hashed, that is gone, or that SHA256SUMS does not list.
void checkSha256Sums(const std::filesystem::path &folder);

} // namespace fairy2
