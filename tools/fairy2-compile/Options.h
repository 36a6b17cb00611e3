// SPDX-License-Identifier: Apache-2.0
//
// The command line of fairy2-compile, and the words it ends with.
#pragma once

#include "codegen/Compile.h"

#include <optional>

namespace fairy2 {

struct CommandLine {
  std::string model;
  CompileOptions options;
  bool printsOptCommand = false;
  bool isVerbose = false;
};

/// Fills `line`; an exit code when there is nothing more to do.
std::optional<int> parseCommandLine(int argc, char **argv, CommandLine &line);

/// Kernels, bits per parameter, what layers got and how near their weights are
/// (each layer when verbose), file size, seconds and peak memory.
void printSummary(const CommandLine &line, const CompileSummary &summary,
                  double seconds);

} // namespace fairy2
