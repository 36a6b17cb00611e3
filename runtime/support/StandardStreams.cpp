// SPDX-License-Identifier: Apache-2.0
//
// POSIX descriptors below the streams of C and C++.
#include "runtime/support/StandardStreams.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/PlainText.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>

namespace fairy2 {
namespace {

constexpr size_t kMostBytes = size_t(1) << 30;

std::string readAll(int descriptor, const std::string &name,
                    std::string_view magic) {
  std::string text;
  // As it comes: what is no text ends the reading at its first bytes.
  PlainTextCheck check(name);
  size_t checked = 0;
  const auto checkMore = [&] {
    if (!magic.empty() && text.starts_with(magic))
      return;
    check.add(std::string_view(text).substr(checked));
    checked = text.size();
  };
  char bytes[1 << 16];
  while (true) {
    const ssize_t count = read(descriptor, bytes, sizeof(bytes));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      throw Error(name + ": cannot read: " + std::strerror(errno));
    if (count == 0) {
      checkMore();
      if (checked == text.size())
        check.finish();
      return text;
    }
    if (text.size() + size_t(count) > kMostBytes)
      throw Error(name + ": expected at most " +
                  std::to_string(kMostBytes >> 20) + " MiB, found more");
    text.append(bytes, size_t(count));
    if (text.size() >= magic.size())
      checkMore();
  }
}

} // namespace

void openStandardStreams() {
  // A file that grows beyond a limit is an error of its write, as a full disk
  // is, and not the end of the program.
  std::signal(SIGXFSZ, SIG_IGN);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    // Read only for all: what is written must not vanish without an error. The
    // lowest number that is free is the one that is missing.
    if (fcntl(descriptor, F_GETFD) < 0 && errno == EBADF &&
        open("/dev/null", O_RDONLY) != descriptor)
      _exit(1);
}

void flushStandardOutput() {
  if (std::cout && !std::ferror(stdout))
    errno = 0;
  std::cout.flush();
  if (std::cout && std::fflush(stdout) == 0 && !std::ferror(stdout))
    return;
  // Of a write that failed before, others may have used errno since.
  const bool isReason = errno == ENOSPC || errno == EBADF || errno == EPIPE ||
                        errno == EIO || errno == EFBIG || errno == EDQUOT;
  const int error = isReason ? errno : 0;
  throw Error(std::string("standard output: cannot write") +
              (error ? std::string(": ") + std::strerror(error) : ""));
}

std::string readStandardInput(std::string_view magic) {
  return readAll(STDIN_FILENO, "standard input", magic);
}

std::string readStream(const std::string &path, std::string_view magic) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0)
    throw Error(path + ": cannot open: " + std::strerror(errno));
  return readAll(file.get(), path, magic);
}

} // namespace fairy2
