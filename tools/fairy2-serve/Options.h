// SPDX-License-Identifier: Apache-2.0
//
// The command line of fairy2-serve.
#pragma once

#include "runtime/serve/Serve.h"

#include <optional>

namespace fairy2 {

/// Fills `options`; an exit code when there is nothing more to do.
std::optional<int> parseCommandLine(int argc, char **argv,
                                    serve::ServeOptions &options);

} // namespace fairy2
