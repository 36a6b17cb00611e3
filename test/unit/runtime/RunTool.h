// SPDX-License-Identifier: Apache-2.0
//
// Runs a tool of this build as a user's shell would.
#pragma once

#include "test/unit/runtime/FakeModel.h"

#include <cstdlib>
#include <string>

#include <sys/wait.h>

namespace fairy2::test {

struct Outcome {
  int code; ///< -1 when a signal ended the program
  std::string output, errors;
};

/// Runs `tool` in the folder; `input` is its standard input.
inline Outcome runTool(const TemporaryFolder &folder, const std::string &tool,
                       const std::string &arguments,
                       const std::string &input = "") {
  writeFile(folder.file("in"), input);
  const std::string command = "cd " + folder.path().string() + " && " +
                              FAIRY2_BINARY_DIR "/bin/" + tool + " " +
                              arguments + " >out 2>err <in";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          readFile(folder.file("out")), readFile(folder.file("err"))};
}

} // namespace fairy2::test
