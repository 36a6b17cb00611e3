// SPDX-License-Identifier: Apache-2.0
//
// A model's folder, and which files it may lead to: what is read from it ends
// up in libraries and exports that are passed on, so a link must not bring
// anybody's private file there unseen.
#pragma once

#include <concepts>
#include <filesystem>
#include <string>
#include <string_view>

namespace fairy2 {

/// What a user lets a model's folder do.
struct ModelFolderRules {
  bool followsLinks = false;        ///< that lead out of it
  bool allowsUnknownFields = false; ///< in its config.json
};

class ModelFolder {
public:
  /// The folder may be absent; who reads says so.
  template <std::convertible_to<std::filesystem::path> Path>
  ModelFolder(const Path &path, ModelFolderRules rules = {})
      : folder(path), rules(rules) {}

  const std::filesystem::path &path() const { return folder; }
  bool allowsUnknownFields() const { return rules.allowsUnknownFields; }

  /// The path of a file to read. Throws Error when it is a symbolic link that
  /// ends neither in the folder nor in the blobs of its Hugging Face cache
  /// (models--NAME/snapshots/REVISION/..), unless such links are followed.
  std::filesystem::path file(std::string_view name) const;
  /// A broken link counts as there, so that reading it says what is wrong.
  bool has(std::string_view name) const;

private:
  std::filesystem::path folder;
  ModelFolderRules rules;
};

} // namespace fairy2
