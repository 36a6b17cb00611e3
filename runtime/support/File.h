// SPDX-License-Identifier: Apache-2.0
//
// Files as the runtime needs them: owned descriptors, exact reads, and output
// that appears under its name only when it is complete. Errors throw
// fairy2::Error and name the file.
#pragma once

#include "runtime/support/Unfinished.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

/// An open file descriptor, closed on destruction.
class FileDescriptor {
public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd(fd) {}
  FileDescriptor(FileDescriptor &&other) noexcept : fd(other.fd) {
    other.fd = -1;
  }
  FileDescriptor &operator=(FileDescriptor &&other) noexcept;
  ~FileDescriptor() { close(); }

  int get() const { return fd; }
  /// Closes now. Returns errno, or 0.
  int close();

private:
  int fd = -1;
};

/// A regular file open for reading, and its size at that time.
struct InputFile {
  FileDescriptor descriptor;
  std::string path;
  uint64_t bytes = 0;

  static InputFile open(const std::string &path);
  /// Fills `out` from `offset`; throws when the file ends before that. `what`
  /// is what is read, for the error: "tensor 'x'".
  void read(uint64_t offset, std::span<uint8_t> out,
            const std::string &what = "") const;
};

/// The whole content of a regular file, of at most `maxBytes` bytes.
std::string
readWholeFile(const std::filesystem::path &path,
              int64_t maxBytes = std::numeric_limits<int64_t>::max());

/// The same of a file that must hold text (PlainText.h).
std::string readTextFile(const std::filesystem::path &path, int64_t maxBytes);

/// A file that is written beside its final name and takes that name in one step
/// on commit(); without commit() nothing stays behind and an older file of that
/// name is untouched. Writes are buffered.
class OutputFile {
public:
  /// `mode`: permissions before the umask, unless an older file has its own.
  explicit OutputFile(const std::filesystem::path &path, int mode = 0666);
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;

  void append(std::span<const uint8_t> bytes);
  /// Overwrites bytes that were appended before.
  void overwrite(uint64_t offset, std::span<const uint8_t> bytes);
  /// Bytes appended so far.
  uint64_t size() const { return flushed + buffer.size(); }
  void commit();

private:
  void flush();
  /// Tries names beside the target until `create` succeeds with one. In a
  /// SignalDelay.
  void nameTemporary(const std::function<bool(const char *name)> &create);
  [[noreturn]] void fail(const char *what, int error) const;

  std::filesystem::path target;
  Unfinished temporary; ///< nothing while the file has no name
  FileDescriptor descriptor;
  std::vector<uint8_t> buffer;
  uint64_t flushed = 0;
};

/// Throws Error unless an OutputFile can be begun at `path`: to call before
/// long work whose result goes there.
void requireCreatable(const std::filesystem::path &path);

/// A file without a name, gone with the process however that ends: for what
/// memory need not hold.
class ScratchFile {
public:
  /// On the disk of `folder`, or of the closest folder above it that exists.
  explicit ScratchFile(std::filesystem::path folder);

  void append(std::span<const uint8_t> bytes);
  uint64_t size() const { return file.bytes; }
  /// Fills `out` from `offset`.
  void read(uint64_t offset, std::span<uint8_t> out) const {
    file.read(offset, out);
  }

private:
  InputFile file; ///< open for writing, too; named for its folder
};

/// Writes a file of this content, in one step as OutputFile does it.
void writeTextFile(const std::filesystem::path &path, std::string_view text);

} // namespace fairy2
