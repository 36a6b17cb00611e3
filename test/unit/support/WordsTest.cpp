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

TEST(WordsTest, QuotesNamesForTerminals) {
  EXPECT_EQ(quoteName("a.weight"), "'a.weight'");
  EXPECT_EQ(quoteName("a\x1b[2J\n"), "'a\\u001b[2J\\n'");
  EXPECT_EQ(quoteName("a\xff"), "'a\xEF\xBF\xBD'");
  EXPECT_EQ(quoteName(std::string(500, 'x')),
            "'" + std::string(80, 'x') + "..'");
}

TEST(WordsTest, NamesCannotSteerATerminal) {
  EXPECT_EQ(quoteName("\x7f\xc2\x9b"
                      "31m\xe2\x80\xae"),
            "'\\x7f\\u009b31m\\u202e'");
  EXPECT_EQ(quoteName("b", '"'), "\"b\"");
  // What is cut is cut between two characters.
  EXPECT_EQ(quoteName(std::string(79, 'x') + "\xc3\xa4y"),
            "'" + std::string(79, 'x') + "\xc3\xa4..'");
}

TEST(WordsTest, Lists) {
  EXPECT_EQ(joined({}), "");
  EXPECT_EQ(joined({"", "a", "b"}), ", a, b");
}

TEST(WordsTest, AWordOfAShellIsQuotedWhereItMustBe) {
  EXPECT_EQ(shellWord("runs/a-b_c.1"), "runs/a-b_c.1");
  EXPECT_EQ(shellWord(""), "''");
  EXPECT_EQ(outputOf("printf %s " + shellWord("a 'b' $(c) \\d;*")),
            "a 'b' $(c) \\d;*");
}

} // namespace
