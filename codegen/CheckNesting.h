// SPDX-License-Identifier: Apache-2.0
//
// MLIR's parser, verifier and printer recurse into nested regions, types and
// attributes: text that nests a million deep would overflow their stack.
#pragma once

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>

namespace fairy2 {

/// The deepest nesting of brackets that is read; real modules stay below 30.
constexpr int64_t kMaxNesting = 256;

/// The line, counted from 1, where brackets of MLIR text nest deeper than
/// kMaxNesting; nothing if they never do. Strings and comments do not count.
std::optional<int64_t> lineNestedTooDeep(llvm::StringRef text);

} // namespace fairy2
