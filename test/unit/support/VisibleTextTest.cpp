// SPDX-License-Identifier: Apache-2.0
//
// What a terminal would obey is shown, and nothing else is changed.
#include "runtime/support/VisibleText.h"

#include <gtest/gtest.h>

using namespace fairy2;
using namespace std::string_literals;

namespace {

TEST(VisibleTextTest, ControlCharactersBecomeEscapes) {
  EXPECT_EQ(visibleText("\x1b]0;title\x07\x1b[2J"),
            "\\x1b]0;title\\x07\\x1b[2J");
  EXPECT_EQ(visibleText("a\rb\bc\x7f\0d"s), "a\\x0db\\x08c\\x7f\\x00d");
  EXPECT_EQ(visibleText("\xc2\x9b[31m"), "\\u009b[31m");
  EXPECT_EQ(visibleText("\xe2\x80\xae\xe2\x81\xa6"), "\\u202e\\u2066");
  // ESC in two and in three bytes, which careless decoders accept.
  EXPECT_EQ(visibleText("\xc0\x9b\xe0\x80\x9b"), "\\u001b\\u001b");
}

TEST(VisibleTextTest, AllElseStays) {
  for (const char *text :
       {"", "plain text\n\twith a tab\n", "é ü 中文 Ελληνικά",
        "👩‍💻 🏳️‍🌈", "\xc2\xa0", "\xef\xbf\xbd"})
    EXPECT_EQ(visibleText(text), text);
  // Bytes that are no UTF-8 stay too, and none is lost at the end.
  for (const char *text : {"\xff\xfe", "a\xc2", "a\xe2\x80", "\xf0\x9f"})
    EXPECT_EQ(visibleText(text), text);
}

} // namespace
