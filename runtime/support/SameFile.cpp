// SPDX-License-Identifier: Apache-2.0
//
// std::filesystem::equivalent, for files and what lies in a folder.
#include "runtime/support/SameFile.h"

#include "runtime/support/Error.h"

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

} // namespace fairy2
