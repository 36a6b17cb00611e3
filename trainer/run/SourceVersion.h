// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace fairy2::trainer {

/// The commit that this program was built from, with "-dirty" behind it when
/// the tree had changes that are not committed; "unknown" outside of git.
std::string sourceVersion();

/// A sentence for whoever starts such a program; empty for any other version.
inline std::string dirtyTreeNote(const std::string &version) {
  return version.ends_with("-dirty")
             ? "this program was built from a tree with uncommitted changes (" +
                   version + "): its commit alone does not repeat the run"
             : "";
}

} // namespace fairy2::trainer
