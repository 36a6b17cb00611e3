// SPDX-License-Identifier: Apache-2.0
//
// The command line of fairy2-compile.
#pragma once

#include "codegen/Compile.h"

#include <optional>

namespace fairy2 {

struct CommandLine {
  std::string model;
  CompileOptions options;
  bool printsOptCommand = false;
  bool isVerbose = false;
  bool allowsUnknownFields = false;
};

/// Fills `line`; an exit code when there is nothing more to do. Throws Error
/// when help cannot be written.
std::optional<int> parseCommandLine(int argc, char **argv, CommandLine &line);

} // namespace fairy2
