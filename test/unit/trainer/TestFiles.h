// SPDX-License-Identifier: Apache-2.0
//
// Folders, texts and tiny models that the trainer's tests work on.
#pragma once

#include <filesystem>
#include <string>

namespace fairy2 {

/// A folder of its own, removed at the end.
class TestFolder {
public:
  TestFolder();
  ~TestFolder();

  std::filesystem::path operator/(const std::string &name) const {
    return path / name;
  }
  /// Writes a file and returns its path.
  std::string write(const std::string &name, const std::string &content) const;

  std::filesystem::path path;
};

/// Writes a random Llama of a few thousand parameters whose tokens are bytes to
/// `folder`; its BOS is 1. `fields` is spliced into config.json.
void writeTinyModel(const std::filesystem::path &folder,
                    const std::string &fields = "", int intermediateSize = 48);

/// English-like text of that many sentences.
std::string tinyText(int sentences, unsigned seed);

/// Output of a shell command; fails the test when the command does.
std::string outputOf(const std::string &command);

/// The sentence of the Error that `action` throws, or "no error".
std::string messageOf(const auto &action);

} // namespace fairy2

#include "dialect/Error.h"

std::string fairy2::messageOf(const auto &action) {
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}
