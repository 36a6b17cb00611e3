// SPDX-License-Identifier: Apache-2.0
//
// Making, copying and locking, with errors that name the folder.
#include "trainer/run/Folders.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>

namespace fairy2::trainer {

namespace fs = std::filesystem;

void makeFolder(const fs::path &folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw Error(folder.string() +
                ": cannot make this folder: " + error.message());
}

void copyFile(const fs::path &from, const fs::path &to) {
  writeTextFile(to, readWholeFile(from.string()));
}

FolderLock::FolderLock(const fs::path &folder)
    : descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor.get() < 0)
    throw Error(folder.string() + ": cannot open: " + std::strerror(errno));
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    throw Error(folder.string() + ": another run is writing there");
}

void makeDurable(const fs::path &path) {
  const FileDescriptor opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  // A file system that cannot promise it says EINVAL, and then nobody can.
  if (opened.get() < 0 || (::fsync(opened.get()) != 0 && errno != EINVAL))
    throw Error(path.string() +
                ": cannot make durable: " + std::strerror(errno));
}

void writeJson(const fs::path &path, const nlohmann::ordered_json &json) {
  writeTextFile(path, json.dump(2) + "\n");
}

} // namespace fairy2::trainer
