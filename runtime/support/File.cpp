// SPDX-License-Identifier: Apache-2.0
//
// POSIX files: exact reads, buffered output with an atomic rename at the end.
#include "runtime/support/File.h"

#include "runtime/support/Bytes.h"
#include "runtime/support/Error.h"
#include "runtime/support/PlainText.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace fairy2 {
namespace {

/// Output goes to the kernel in pieces that begin at multiples of 2 MiB of the
/// file: its page cache then holds the file in huge pages, and whoever maps it
/// later walks it twice as fast as one that was written piecemeal
/// (MEASURED.md).
constexpr size_t kBufferBytes = 2 << 20;

constexpr const char *kOwnDescriptors = "/proc/self/fd/";

[[noreturn]] void failOn(const std::string &path, const std::string &what,
                         int error) {
  throw Error(path + ": " + what + ": " + std::strerror(error));
}

void writeAt(const FileDescriptor &file, const std::string &path,
             uint64_t offset, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t put =
        pwrite(file.get(), bytes.data(), bytes.size(), off_t(offset));
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      failOn(path, "cannot write", errno);
    bytes = bytes.subspan(size_t(put));
    offset += uint64_t(put);
  }
}

/// A file without a name is gone with the process, however that ends. Not every
/// file system has them.
FileDescriptor openUnnamed(const std::filesystem::path &folder, int mode) {
  return FileDescriptor(
      ::open(folder.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, mode));
}

} // namespace

FileDescriptor &FileDescriptor::operator=(FileDescriptor &&other) noexcept {
  if (this != &other) {
    close();
    fd = other.fd;
    other.fd = -1;
  }
  return *this;
}

int FileDescriptor::close() {
  if (fd < 0)
    return 0;
  const int result = ::close(fd);
  fd = -1;
  return result == 0 ? 0 : errno;
}

InputFile InputFile::open(const std::string &path) {
  InputFile file;
  file.path = path;
  // Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
  file.descriptor =
      FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.descriptor.get() < 0)
    failOn(path, "cannot open", errno);
  struct stat status;
  if (fstat(file.descriptor.get(), &status) != 0)
    failOn(path, "cannot read", errno);
  if (!S_ISREG(status.st_mode))
    throw Error(path + ": expected a regular file, found a " +
                (S_ISDIR(status.st_mode) ? "folder" : "device or pipe"));
  file.bytes = status.st_size;
  return file;
}

void InputFile::read(uint64_t offset, std::span<uint8_t> out,
                     const std::string &what) const {
  const std::string name = what.empty() ? path : path + ": " + what;
  while (!out.empty()) {
    const ssize_t got =
        pread(descriptor.get(), out.data(), out.size(), off_t(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      failOn(name, "cannot read", errno);
    if (got == 0 && offset < bytes)
      throw Error(name + ": the file now ends at byte " +
                  std::to_string(offset) + ", it had " + std::to_string(bytes) +
                  " bytes when it was opened");
    if (got == 0)
      throw Error(name + ": expected " + std::to_string(out.size()) +
                  " more bytes at offset " + std::to_string(offset) +
                  ", found the end of the file");
    out = out.subspan(size_t(got));
    offset += uint64_t(got);
  }
}

namespace {

InputFile openSmallFile(const std::filesystem::path &path, int64_t maxBytes) {
  std::error_code code;
  if (!std::filesystem::exists(path, code)) {
    const std::filesystem::path folder = path.parent_path();
    if (std::filesystem::is_regular_file(folder, code))
      throw Error(folder.string() + ": expected a folder, found a file");
    throw Error(path.string() + ": no such file");
  }
  InputFile file = InputFile::open(path.string());
  if (file.bytes > uint64_t(maxBytes))
    throw Error(file.path + ": has " + std::to_string(file.bytes) +
                " bytes, expected at most " + std::to_string(maxBytes));
  return file;
}

} // namespace

std::string readWholeFile(const std::filesystem::path &path, int64_t maxBytes) {
  const InputFile file = openSmallFile(path, maxBytes);
  std::string content(file.bytes, '\0');
  file.read(0, writableBytesOf(content));
  return content;
}

std::string readTextFile(const std::filesystem::path &path, int64_t maxBytes) {
  const InputFile file = openSmallFile(path, maxBytes);
  PlainTextCheck check(path.string());
  std::string text;
  // In pieces: a large file that is no text costs neither time nor memory.
  while (text.size() < file.bytes) {
    const size_t begin = text.size();
    text.resize(std::min<uint64_t>(file.bytes, begin + kBufferBytes));
    file.read(begin, writableBytesOf(text).subspan(begin));
    check.add(std::string_view(text).substr(begin));
  }
  check.finish();
  return text;
}

void writeTextFile(const std::filesystem::path &path, std::string_view text) {
  OutputFile file(path);
  file.append(bytesOf(text));
  file.commit();
}

OutputFile::OutputFile(const std::filesystem::path &path, int mode) {
  std::error_code error;
  // A link is followed, so that the file it names is replaced and not the link.
  target = std::filesystem::weakly_canonical(path, error);
  if (error || target.filename().empty())
    target = path;
  if (path.empty())
    throw Error("output: expected the name of a file, found an empty one");
  struct stat earlier;
  const bool isThere = ::stat(target.c_str(), &earlier) == 0;
  if (!isThere && errno != ENOENT)
    fail("cannot create", errno);
  if (isThere && !S_ISREG(earlier.st_mode))
    throw Error(path.string() + ": expected a regular file or a new name for "
                                "the output, found a folder or device");
  // Without /proc a file without a name gets none later.
  if (::access(kOwnDescriptors, X_OK) == 0)
    descriptor = openUnnamed(
        target.has_parent_path() ? target.parent_path() : ".", mode);
  if (descriptor.get() < 0) {
    const SignalDelay together;
    nameTemporary([&](const char *name) {
      descriptor = FileDescriptor(
          ::open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode));
      return descriptor.get() >= 0;
    });
  }
  // Whoever set the permissions of a file meant its name. Not every file system
  // has them.
  if (isThere && ::fchmod(descriptor.get(), earlier.st_mode & 07777) != 0 &&
      errno != EPERM)
    fail("cannot set its permissions", errno);
  buffer.reserve(kBufferBytes);
}

void OutputFile::nameTemporary(
    const std::function<bool(const char *name)> &create) {
  for (int attempt = 0;; ++attempt) {
    std::filesystem::path name = target;
    // Of a long name a part, or this one would be too long.
    name.replace_filename("." + target.filename().string().substr(0, 200) +
                          "." + std::to_string(getpid()) + "." +
                          std::to_string(attempt) + ".tmp");
    if (create(name.c_str())) {
      temporary = Unfinished(name);
      return;
    }
    if (errno != EEXIST || attempt == 1000)
      fail("cannot create", errno);
  }
}

void OutputFile::fail(const char *what, int error) const {
  failOn(target.string(), what, error);
}

void OutputFile::append(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const size_t room = kBufferBytes - size() % kBufferBytes;
    const size_t part = std::min(bytes.size(), room);
    buffer.insert(buffer.end(), bytes.begin(), bytes.begin() + part);
    bytes = bytes.subspan(part);
    if (part == room)
      flush();
  }
}

void OutputFile::flush() {
  const std::vector<uint8_t> pending = std::move(buffer);
  buffer.clear();
  overwrite(flushed, pending);
  flushed += pending.size();
  buffer.reserve(kBufferBytes);
}

void OutputFile::overwrite(uint64_t offset, std::span<const uint8_t> bytes) {
  if (!buffer.empty())
    flush();
  writeAt(descriptor, target.string(), offset, bytes);
}

void OutputFile::commit() {
  flush();
  const SignalDelay together;
  if (temporary.path().empty()) {
    const std::string self = kOwnDescriptors + std::to_string(descriptor.get());
    nameTemporary([&](const char *name) {
      return linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name,
                    AT_SYMLINK_FOLLOW) == 0;
    });
  }
  // close() is where network file systems report a full disk.
  if (const int error = descriptor.close())
    fail("cannot write", error);
  if (rename(temporary.path().c_str(), target.c_str()) != 0)
    fail("cannot rename the finished file", errno);
  temporary.keep();
}

void requireCreatable(const std::filesystem::path &path) {
  const OutputFile attempt(path); // leaves nothing behind
}

ScratchFile::ScratchFile(std::filesystem::path folder) {
  folder = std::filesystem::absolute(folder);
  std::error_code error;
  while (!std::filesystem::is_directory(folder, error) &&
         folder != folder.parent_path())
    folder = folder.parent_path();
  file.path = folder.string();
  file.descriptor = openUnnamed(folder, 0600);
  if (file.descriptor.get() >= 0)
    return;
  std::string name = (folder / ".fairy2-XXXXXX").string();
  file.descriptor = FileDescriptor(mkostemp(name.data(), O_CLOEXEC));
  if (file.descriptor.get() < 0 || unlink(name.c_str()) != 0)
    failOn(file.path, "cannot create a file", errno);
}

void ScratchFile::append(std::span<const uint8_t> bytes) {
  writeAt(file.descriptor, file.path, file.bytes, bytes);
  file.bytes += bytes.size();
}

} // namespace fairy2
