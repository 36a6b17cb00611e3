// SPDX-License-Identifier: Apache-2.0
//
// What unit tests share: a folder that goes away, whole files, and the text of
// an error.
#pragma once

#include "runtime/support/Error.h"
#include "test/unit/ErrorForm.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <stdlib.h>

namespace fairy2 {

inline std::string readFile(const std::filesystem::path &path) {
  std::ifstream stream(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

inline void writeFile(const std::filesystem::path &path,
                      std::string_view bytes) {
  std::ofstream stream(path, std::ios::binary);
  stream.write(bytes.data(), std::streamsize(bytes.size()));
}

/// The text of the Error that `action` throws, or "no error". Checks its form.
template <typename Action> std::string errorOf(Action action) {
  try {
    action();
  } catch (const Error &error) {
    EXPECT_EQ(formFault(error.what()), "") << error.what();
    return error.what();
  }
  return "no error";
}

/// A new folder, removed with its content on destruction.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "fairy2-test-XXXXXX")
            .string();
    if (!::mkdtemp(pattern.data()))
      throw std::runtime_error("cannot make " + pattern);
    folder = std::filesystem::canonical(pattern);
  }
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(folder); }

  const std::filesystem::path &path() const { return folder; }
  std::filesystem::path operator/(std::string_view name) const {
    return folder / name;
  }
  std::string file(std::string_view name) const {
    return (folder / name).string();
  }
  /// Returns the file's path.
  std::string write(std::string_view name, std::string_view bytes) const {
    writeFile(folder / name, bytes);
    return file(name);
  }

  /// errorOf() with "DIR" for the folder.
  template <typename Action> std::string errorOf(Action action) const {
    std::string text = fairy2::errorOf(action);
    for (size_t at; (at = text.find(folder.string())) != text.npos;)
      text.replace(at, folder.string().size(), "DIR");
    return text;
  }

private:
  std::filesystem::path folder;
};

/// The folder of real data beside the repository, which may not exist.
inline std::filesystem::path sharedData() {
  return std::filesystem::path(FAIRY2_SOURCE_DIR) / ".." / "shared" / "data";
}

} // namespace fairy2
