// SPDX-License-Identifier: Apache-2.0
//
// The command line of fairy2-compile.
#pragma once

#include "codegen/Compile.h"
#include "frontend/ModelFolder.h"

#include <optional>

namespace fairy2 {

struct CommandLine {
  std::string model;
  ModelFolderRules rules; ///< of its folder
  CompileOptions options;
  bool printsOptCommand = false;
  bool isVerbose = false;
};

/// Fills `line`; an exit code when there is nothing more to do.
std::optional<int> parseCommandLine(int argc, char **argv, CommandLine &line);

} // namespace fairy2
