// SPDX-License-Identifier: Apache-2.0
//
// Outputs that are inputs: refused before work begins, so that nobody loses the
// file that the work is about.
#pragma once

#include <filesystem>

namespace fairy2 {

/// Throws Error when `output` is the file `input`, or a file in it when that is
/// a folder: by device and inode, so links and other spellings count.
void requireNotInput(const std::filesystem::path &output,
                     const std::filesystem::path &input);

} // namespace fairy2
