// SPDX-License-Identifier: Apache-2.0
//
// Outputs that are inputs: refused before work begins, so that nobody loses the
// file that the work is about.
#pragma once

#include <filesystem>
#include <span>

namespace fairy2 {

/// Throws Error when `output` is the file `input`, or a file in it when that is
/// a folder: by device and inode, so links and other spellings count.
void requireNotInput(const std::filesystem::path &output,
                     const std::filesystem::path &input);

/// The same for a command line whose options another library knows: throws
/// Error when two of its words, or what stands behind their '=', are the same
/// regular file.
void requireDifferentFiles(std::span<char *const> words);

} // namespace fairy2
