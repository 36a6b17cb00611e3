// SPDX-License-Identifier: Apache-2.0
//
// Words of error messages and of commands.
#include "runtime/support/Words.h"

#include <gtest/gtest.h>

#include <cstdio>

using namespace fairy2;

namespace {

std::string outputOf(const std::string &command) {
  FILE *pipe = ::popen(command.c_str(), "r");
  std::string text;
  for (int c; (c = std::fgetc(pipe)) != EOF;)
    text += char(c);
  EXPECT_EQ(::pclose(pipe), 0) << command;
  return text;
}

TEST(WordsTest, AWordOfAShellIsQuotedWhereItMustBe) {
  EXPECT_EQ(shellWord("runs/a-b_c.1"), "runs/a-b_c.1");
  EXPECT_EQ(shellWord(""), "''");
  EXPECT_EQ(outputOf("printf %s " + shellWord("a 'b' $(c) \\d;*")),
            "a 'b' $(c) \\d;*");
}

} // namespace
