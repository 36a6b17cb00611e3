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

void requireNoModel(const fs::path &folder) {
  std::error_code absent; // a folder that is not there holds nothing
  for (const auto &entry : fs::directory_iterator(folder, absent))
    if (entry.path().extension() == ".safetensors")
      throw Error("output: " + folder.string() +
                  " holds a model already; remove it, or choose another "
                  "output");
}

} // namespace fairy2::trainer
