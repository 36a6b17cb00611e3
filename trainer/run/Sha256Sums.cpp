// SPDX-License-Identifier: Apache-2.0
//
// The format of sha256sum, read strictly.
#include "trainer/run/Sha256Sums.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "trainer/run/Sha256.h"

#include <sstream>

namespace fairy2::trainer {

namespace fs = std::filesystem;

namespace {

constexpr const char *kFile = "SHA256SUMS";
constexpr size_t kDigits = 64;

Sha256Sums readSums(const fs::path &file) {
  constexpr int64_t kMostBytes = int64_t(16) << 20;
  std::istringstream text(readTextFile(file, kMostBytes));
  Sha256Sums sums;
  int64_t number = 0;
  for (std::string line; std::getline(text, line);) {
    ++number;
    // 64 digits, two spaces, a name without a folder.
    const bool isSum = line.size() > kDigits + 2 &&
                       line.find_first_not_of("0123456789abcdef") == kDigits &&
                       line.compare(kDigits, 2, "  ") == 0 &&
                       line.find('/') == std::string::npos;
    if (!isSum)
      throw Error(file.string() + ":" + std::to_string(number) +
                  ": expected a SHA-256 and the name of a file");
    sums[line.substr(kDigits + 2)] = line.substr(0, kDigits);
  }
  return sums;
}

} // namespace

void writeSha256Sums(const fs::path &folder, const Sha256Sums &known) {
  Sha256Sums sums;
  for (const auto &entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name == kFile)
      continue;
    const auto hash = known.find(name);
    sums[name] =
        hash != known.end() ? hash->second : sha256OfFile(entry.path());
  }
  std::string text;
  for (const auto &[name, hash] : sums)
    text += hash + "  " + name + "\n";
  writeTextFile(folder / kFile, text);
}

void checkSha256Sums(const fs::path &folder) {
  const Sha256Sums sums = readSums(folder / kFile);
  for (const auto &[name, hash] : sums)
    if (sha256OfFile(folder / name) != hash)
      throw Error((folder / name).string() +
                  ": damaged: its SHA-256 is not the one in " + kFile);
  for (const auto &entry : fs::directory_iterator(folder))
    if (const std::string name = entry.path().filename().string();
        name != kFile && !sums.contains(name))
      throw Error(entry.path().string() + ": not listed in " + kFile);
}

} // namespace fairy2::trainer
