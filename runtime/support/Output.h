// SPDX-License-Identifier: Apache-2.0
//
// Standard output of the tools: what cannot be written is no success.
#pragma once

#include "runtime/support/Error.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace fairy2 {

/// Writes out what was printed to standard output, right after it was printed:
/// a write that failed before has left its reason in errno. Throws Error when
/// it cannot be written.
inline void finishStandardOutput() {
  if (!std::ferror(stdout))
    errno = 0;
  if (std::fflush(stdout) == 0 && !std::ferror(stdout))
    return;
  const int error = errno;
  throw Error(std::string("standard output: cannot write") +
              (error ? std::string(": ") + std::strerror(error) : ""));
}

} // namespace fairy2
