// SPDX-License-Identifier: Apache-2.0
//
// The folders that a run writes to.
#pragma once

#include "runtime/support/File.h"

#include <nlohmann/json.hpp>

#include <filesystem>

namespace fairy2::trainer {

/// Makes a folder and those above it, where they are missing. Throws Error.
void makeFolder(const std::filesystem::path &folder);

/// Writes a copy of a file in one step. Throws Error.
void copyFile(const std::filesystem::path &from,
              const std::filesystem::path &to);

/// Keeps other processes that ask for it from a folder, until this object or
/// the process goes. Throws Error when another one has it. Some network file
/// systems cannot say; there it keeps nobody out.
class FolderLock {
public:
  explicit FolderLock(const std::filesystem::path &folder);

private:
  FileDescriptor descriptor;
};

/// Returns when what is in a file, or which names are in a folder, would
/// survive a loss of power. Throws Error.
void makeDurable(const std::filesystem::path &path);

/// Writes JSON to a file that appears in one step. Throws Error.
void writeJson(const std::filesystem::path &path,
               const nlohmann::ordered_json &json);

} // namespace fairy2::trainer
