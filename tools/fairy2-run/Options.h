// SPDX-License-Identifier: Apache-2.0
//
// The command line of fairy2-run.
#pragma once

#include "runtime/Generate.h"

#include <optional>
#include <string>
#include <vector>

namespace fairy2 {

struct Arguments {
  /// Exactly one of prompt, promptFile, promptIds and chat is given.
  std::string model, prompt, promptFile, logitsOut, system;
  std::vector<int32_t> promptIds;
  std::vector<std::string> logitBias; ///< ID=BIAS, as typed
  bool chat = false, noBos = false, json = false;
  SessionOptions session;
  GenerationOptions generation;
};

/// Fills `args`. Returns an exit code when there is nothing left to do.
std::optional<int> parseArguments(int argc, char **argv, Arguments &args);

} // namespace fairy2
