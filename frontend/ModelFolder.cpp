// SPDX-License-Identifier: Apache-2.0
//
// Compares where a link ends with where it may, both as canonical paths.
#include "frontend/ModelFolder.h"

#include "runtime/support/Error.h"

#include <algorithm>

namespace fairy2 {

namespace fs = std::filesystem;

namespace {

bool isBelow(const fs::path &file, const fs::path &folder) {
  const auto [end, rest] =
      std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  return end == folder.end() && rest != file.end();
}

/// The blobs beside the snapshots that a folder lies in, or nothing.
fs::path blobsOf(fs::path folder) {
  for (; folder.has_relative_path(); folder = folder.parent_path())
    if (const fs::path model = folder.parent_path();
        folder.filename() == "snapshots" &&
        model.filename().string().starts_with("models--"))
      return model / "blobs";
  return {};
}

} // namespace

fs::path ModelFolder::file(std::string_view name) const {
  const fs::path path = folder / name;
  std::error_code code;
  if (rules.followsLinks || !fs::is_symlink(path, code))
    return path;
  const fs::path target = fs::canonical(path, code);
  if (code)
    return path; // who opens it says what is wrong
  const fs::path home = fs::canonical(folder), blobs = blobsOf(home);
  if (isBelow(target, home) || (!blobs.empty() && isBelow(target, blobs)))
    return path;
  throw Error(path.string() + ": is a symbolic link to " + target.string() +
              ", outside of the model's folder; --follow-links reads it");
}

bool ModelFolder::has(std::string_view name) const {
  std::error_code code;
  return fs::symlink_status(folder / name, code).type() !=
         fs::file_type::not_found;
}

} // namespace fairy2
