// SPDX-License-Identifier: Apache-2.0
//
// Text of strangers in the pages of reports.
#include "runtime/support/Html.h"

#include <gtest/gtest.h>

using namespace fairy2;

namespace {

TEST(HtmlTest, TextIsNoMarkup) {
  EXPECT_EQ(escapeHtml("a<b> & \"c\" &lt;"), "a&lt;b&gt; &amp; \"c\" &amp;lt;");
  EXPECT_EQ(escapeHtml(""), "");
}

} // namespace
