// SPDX-License-Identifier: Apache-2.0
//
// SHA256SUMS: the hashes of a folder's files, as sha256sum(1) of the GNU
// coreutils writes and checks them.
#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace fairy2::trainer {

/// Hashes by the names of files.
using Sha256Sums = std::map<std::string, std::string>;

/// Writes the hashes of all files of `folder` to its SHA256SUMS; reads those
/// that are not `known`. Throws Error.
void writeSha256Sums(const std::filesystem::path &folder,
                     const Sha256Sums &known = {});

/// Throws Error naming the first file whose content is not the one that was
/// hashed, that is gone, or that SHA256SUMS does not list.
void checkSha256Sums(const std::filesystem::path &folder);

} // namespace fairy2::trainer
