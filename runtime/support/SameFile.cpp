// SPDX-License-Identifier: Apache-2.0
//
// std::filesystem::equivalent, for files and what lies in a folder.
#include "runtime/support/SameFile.h"

#include "runtime/support/Error.h"

#include <string_view>
#include <vector>

namespace fairy2 {

void requireNotInput(const std::filesystem::path &output,
                     const std::filesystem::path &input) {
  std::error_code error; // what is absent is the same as nothing
  const auto check = [&](const std::filesystem::path &file) {
    if (std::filesystem::equivalent(output, file, error))
      throw Error(output.string() + ": expected another file than the input " +
                  file.string() + ", found the same");
  };
  if (!std::filesystem::is_directory(input, error))
    return check(input);
  for (auto entry = std::filesystem::directory_iterator(input, error);
       entry != std::filesystem::directory_iterator(); entry.increment(error))
    check(entry->path());
}

void requireDifferentFiles(std::span<char *const> words) {
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (const std::string_view word : words) {
    const std::filesystem::path file = word.substr(word.find('=') + 1);
    if (!std::filesystem::is_regular_file(file, error))
      continue;
    for (const std::filesystem::path &other : files)
      requireNotInput(file, other);
    files.push_back(file);
  }
}

} // namespace fairy2
