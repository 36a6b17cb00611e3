// SPDX-License-Identifier: Apache-2.0
//
// Broken UTF-8, as Rust and Python replace it.
#include "runtime/support/Utf8.h"

#include <gtest/gtest.h>

using namespace fairy2;

namespace {

TEST(Utf8Test, BrokenSequencesAreReplacedByTheirMaximalParts) {
  const std::pair<const char *, const char *> cases[] = {
      {"a\xff"
       "b",
       "a\ufffd"
       "b"},
      {"\xe2\x82", "\ufffd"},
      {"\xe2\x82\xe2\x82\xac", "\ufffd\u20ac"},
      {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
      {"\xc0\xaf", "\ufffd\ufffd"},
      {"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},
      {"\xf0\x9f\x99", "\ufffd"},
      {"\xf0\x9f\x99\x82", "\U0001f642"},
  };
  for (const auto &[bytes, text] : cases) {
    EXPECT_EQ(replaceInvalidUtf8(bytes), text);
    EXPECT_EQ(isValidUtf8(bytes), std::string_view(bytes) == text);
  }
}

} // namespace
