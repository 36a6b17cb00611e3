// SPDX-License-Identifier: Apache-2.0
//
// Runs ld.lld on object files in a temporary folder.
#include "codegen/LinkSharedLibrary.h"

#include "runtime/support/Error.h"
#include "runtime/support/Unfinished.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <unistd.h>

namespace fairy2 {
namespace {

/// A folder for temporary files, gone with all that is in it when its owner or
/// the process is: the linker leaves some of its own behind when it fails.
class TemporaryFolder {
public:
  TemporaryFolder() {
    const SignalDelay together;
    llvm::SmallString<128> path;
    if (std::error_code error =
            llvm::sys::fs::createUniqueDirectory("fairy2", path))
      throw Error("TMPDIR: cannot make a temporary folder: " + error.message());
    folder = Unfinished(path.str().str());
  }

  std::string file(const std::string &name) const {
    return (folder.path() / name).string();
  }
  std::string write(const std::string &name, llvm::StringRef bytes) const {
    std::error_code error;
    llvm::raw_fd_ostream stream(file(name), error);
    stream << bytes;
    stream.close();
    if (stream.has_error()) {
      error = stream.error();
      stream.clear_error();
    }
    if (error)
      throw Error(file(name) + ": " + error.message());
    return file(name);
  }
  std::string read(const std::string &name) const {
    auto buffer = llvm::MemoryBuffer::getFile(file(name));
    if (!buffer)
      throw Error(file(name) + ": " + buffer.getError().message());
    return (*buffer)->getBuffer().str();
  }
  /// Bytes that are left on its disk.
  uint64_t available() const {
    const auto space = llvm::sys::fs::disk_space(folder.path().string());
    return space ? space->available : UINT64_MAX;
  }

private:
  Unfinished folder;
};

/// The exit code of a program; `error` says why it could not run.
int runToTheEnd(const std::string &program,
                llvm::ArrayRef<llvm::StringRef> arguments,
                llvm::ArrayRef<llvm::StringRef> environment,
                llvm::ArrayRef<std::optional<llvm::StringRef>> redirects,
                std::string &error) {
  llvm::sys::ProcessInfo process;
  std::optional<UnfinishedChild> child;
  {
    const SignalDelay together;
    bool failed = false;
    process = llvm::sys::ExecuteNoWait(program, arguments, environment,
                                       redirects, 0, &error, &failed);
    if (failed)
      return -1;
    child.emplace(process.Pid);
  }
  return llvm::sys::Wait(process, std::nullopt, &error).ReturnCode;
}

std::string findLinker() {
  for (const char *name : {"ld.lld-22", "ld.lld"})
    if (auto found = llvm::sys::findProgramByName(name))
      return *found;
  if (auto found = llvm::sys::findProgramByName("ld.lld", {FAIRY2_LLVM_BIN}))
    return *found;
  throw Error("ld.lld: not found; install the package lld-22");
}

} // namespace

std::vector<uint8_t>
linkSharedLibrary(const std::vector<std::string> &objects) {
  const std::string linker = findLinker();
  const TemporaryFolder folder;
  std::vector<std::string> command = {
      linker, "-shared", "--gc-sections", "-z", "now", "-z", "noexecstack",
      "--build-id=none", "--hash-style=gnu",
      // On a full disk a map ends in SIGBUS.
      "--no-mmap-output-file", "-soname", "model.so", "-o",
      folder.file("model.so")};
  uint64_t bytesOfObjects = 0;
  for (size_t i = 0; i < objects.size(); ++i) {
    command.push_back(
        folder.write("part" + std::to_string(i) + ".o", objects[i]));
    bytesOfObjects += objects[i].size();
  }
  const std::string messages = folder.write("messages.txt", "");
  llvm::SmallVector<llvm::StringRef> arguments(command.begin(), command.end());
  const std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(""),
                                                      messages, messages};
  // A linker that a full disk ends would leave a trace's files in TMPDIR.
  std::vector<llvm::StringRef> environment = {"LLVM_DISABLE_SYMBOLIZATION=1"};
  for (char **variable = environ; *variable; ++variable)
    environment.emplace_back(*variable);
  std::string error;
  const int code =
      runToTheEnd(linker, arguments, environment, redirects, error);
  if (code != 0) {
    // A disk without room for the library may have none for messages either.
    const uint64_t left = folder.available();
    if (left < bytesOfObjects)
      throw Error(folder.file("model.so") +
                  ": no space left on device: ld.lld needs " +
                  std::to_string(bytesOfObjects >> 10) + " KiB in TMPDIR, " +
                  std::to_string(left >> 10) + " KiB are left");
    throw Error("ld.lld: " +
                (error.empty() ? folder.read("messages.txt") : error));
  }
  const std::string bytes = folder.read("model.so");
  return std::vector<uint8_t>(bytes.begin(), bytes.end());
}

} // namespace fairy2
