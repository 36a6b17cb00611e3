// SPDX-License-Identifier: Apache-2.0
//
// Files the tokenizer's tests read: committed ones beside the tests, and real
// tokenizers in sharedData().
#pragma once

#include "test/unit/TestFiles.h"

namespace fairy2::test {

inline std::filesystem::path ownData() {
  return std::filesystem::path(FAIRY2_SOURCE_DIR) / "test" / "unit" /
         "tokenizer" / "data";
}

} // namespace fairy2::test
