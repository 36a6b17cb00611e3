// SPDX-License-Identifier: Apache-2.0
//
// What every program does when its command line asks for help or is wrong.
#pragma once

#include "runtime/support/Error.h"
#include "runtime/support/StandardStreams.h"

#include <CLI/CLI.hpp>

#include <cstdio>

namespace fairy2 {

/// Prints what `error` asks for and returns the exit code of `program`.
inline int endParsing(const CLI::App &app, const CLI::ParseError &error,
                      const char *program) {
  const int code = app.exit(error);
  try {
    flushStandardOutput();
  } catch (const Error &lost) {
    std::fprintf(stderr, "%s: error: %s\n", program, lost.what());
    return 1;
  }
  return code == 0 ? 0 : 2;
}

} // namespace fairy2
