// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the readers share: a folder that goes away, files with
// given bytes, and the text of an error without the folder's name in it.
#pragma once

#include "dialect/Error.h"
#include "frontend/Checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include <stdlib.h>

namespace fairy2 {

class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "fairy2-test-XXXXXX")
            .string();
    if (!::mkdtemp(pattern.data()))
      throw std::runtime_error("mkdtemp failed");
    folder = std::filesystem::canonical(pattern);
  }
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(folder); }

  const std::filesystem::path &path() const { return folder; }
  std::filesystem::path operator/(std::string_view name) const {
    return folder / name;
  }

  void write(std::string_view name, std::string_view bytes) const {
    std::ofstream stream(folder / name, std::ios::binary);
    stream.write(bytes.data(), std::streamsize(bytes.size()));
  }

  /// The text of the Error that `action` throws, with "DIR" for the folder, or
  /// "no error".
  template <typename Action> std::string errorOf(Action action) const {
    try {
      action();
    } catch (const Error &error) {
      std::string text = error.what();
      for (size_t at; (at = text.find(folder.string())) != text.npos;)
        text.replace(at, folder.string().size(), "DIR");
      return text;
    }
    return "no error";
  }

private:
  std::filesystem::path folder;
};

inline std::string readAll(const std::filesystem::path &path) {
  std::ifstream stream(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

/// A safetensors file of this JSON header and data.
inline std::string safetensorsFile(std::string_view header,
                                   std::string_view data) {
  const uint64_t length = header.size();
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes.append(header).append(data);
}

/// All values of a tensor.
inline std::vector<float> floatsOf(const Checkpoint &checkpoint,
                                   const std::string &name) {
  const TensorInfo &tensor = checkpoint.tensor(name);
  std::vector<float> values(tensor.bytes / byteWidth(tensor.type));
  checkpoint.readFloats(tensor, 0, int64_t(values.size()), values.data());
  return values;
}

/// The folder of real data beside the repository, which may not exist.
inline std::filesystem::path sharedData() {
  return std::filesystem::path(FAIRY2_SOURCE_DIR) / ".." / "shared" / "data";
}

} // namespace fairy2
