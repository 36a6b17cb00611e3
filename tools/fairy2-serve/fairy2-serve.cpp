// SPDX-License-Identifier: Apache-2.0
//
// fairy2-serve: serves a compiled model to OpenAI's clients over HTTP.
#include "runtime/support/StandardStreams.h"
#include "tools/fairy2-serve/Options.h"

#include <iostream>

using namespace fairy2;

int main(int argc, char **argv) {
  openStandardStreams();
  serve::ServeOptions options;
  if (const auto code = parseCommandLine(argc, argv, options))
    return *code;
  try {
    serve::serve(options);
    return 0;
  } catch (const std::exception &error) {
    std::cerr << "fairy2-serve: error: " << error.what() << '\n';
    return 1;
  }
}
