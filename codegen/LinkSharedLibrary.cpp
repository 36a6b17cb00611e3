// SPDX-License-Identifier: Apache-2.0
//
// Objects go to lld in temporary files, and the library comes back as bytes.
#include "codegen/LinkSharedLibrary.h"

#include "runtime/support/Error.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <list>

namespace fairy2 {
namespace {

/// A file that is gone when its owner is.
class TemporaryFile {
public:
  explicit TemporaryFile(llvm::StringRef suffix) {
    if (std::error_code error =
            llvm::sys::fs::createTemporaryFile("fairy2", suffix, path))
      throw Error("temporary file: " + error.message());
    remover.setFile(path);
  }
  void write(llvm::StringRef bytes) {
    std::error_code error;
    llvm::raw_fd_ostream stream(path, error);
    stream << bytes;
    stream.close();
    if (stream.has_error()) {
      error = stream.error();
      stream.clear_error();
    }
    if (error)
      throw Error(path.str().str() + ": " + error.message());
  }
  std::string read() const {
    auto buffer = llvm::MemoryBuffer::getFile(path);
    if (!buffer)
      throw Error(path.str().str() + ": " + buffer.getError().message());
    return (*buffer)->getBuffer().str();
  }
  llvm::StringRef name() const { return path; }

private:
  llvm::SmallString<128> path;
  llvm::FileRemover remover;
};

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
  std::list<TemporaryFile> inputs;
  TemporaryFile output("so"), messages("txt");
  std::vector<std::string> command = {linker,
                                      "-shared",
                                      "--gc-sections",
                                      "-z",
                                      "now",
                                      "-z",
                                      "noexecstack",
                                      "--build-id=none",
                                      "--hash-style=gnu",
                                      "-soname",
                                      "model.so",
                                      "-o",
                                      output.name().str()};
  for (const std::string &object : objects) {
    inputs.emplace_back("o");
    inputs.back().write(object);
    command.push_back(inputs.back().name().str());
  }
  llvm::SmallVector<llvm::StringRef> arguments(command.begin(), command.end());
  const std::optional<llvm::StringRef> redirects[] = {
      llvm::StringRef(""), messages.name(), messages.name()};
  std::string error;
  const int code = llvm::sys::ExecuteAndWait(linker, arguments, std::nullopt,
                                             redirects, 0, 0, &error);
  if (code != 0)
    throw Error("ld.lld: " + (error.empty() ? messages.read() : error));
  const std::string bytes = output.read();
  return std::vector<uint8_t>(bytes.begin(), bytes.end());
}

} // namespace fairy2
