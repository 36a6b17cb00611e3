// SPDX-License-Identifier: Apache-2.0
//
// The one exception type for bad user input. Its text is the sentence the user
// reads: lower case, names the file and the field or tensor, says what was
// expected and what was found. Tools print it and exit with 1. It never
// crosses an LLVM or MLIR frame: those libraries are built without exceptions.
#pragma once

#include <stdexcept>

namespace fairy2 {

class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

} // namespace fairy2
