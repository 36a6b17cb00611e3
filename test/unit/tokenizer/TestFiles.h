// SPDX-License-Identifier: Apache-2.0
//
// Files the tokenizer's tests read: committed ones beside the tests, and real
// tokenizers in ../shared/data, which may be absent.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace fairy2::test {

inline std::filesystem::path sharedData() {
  return std::filesystem::path(FAIRY2_SOURCE_DIR) / ".." / "shared" / "data";
}

inline std::filesystem::path ownData() {
  return std::filesystem::path(FAIRY2_SOURCE_DIR) / "test" / "unit" /
         "tokenizer" / "data";
}

inline std::string readFile(const std::filesystem::path &path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

} // namespace fairy2::test
