// SPDX-License-Identifier: Apache-2.0
//
// Matchers written by hand against the regular expression engine, and the
// engine's limits on patterns and texts made to hurt.
#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "runtime/text/tokenizer/KnownPatterns.h"
#include "runtime/text/tokenizer/Unicode.h"
#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

#include <random>

using namespace fairy2;
using namespace fairy2::tokenizer;

namespace {

std::unique_ptr<Pattern> engine(std::string_view regex) {
  const nlohmann::json value = regex;
  return makeRegex(JsonField(value, "tokenizer.json"));
}

std::vector<std::pair<size_t, size_t>> matches(const Pattern &pattern,
                                               std::string_view text) {
  std::vector<Span> spans;
  pattern.split(text, spans);
  std::vector<std::pair<size_t, size_t>> bounds;
  for (const Span &s : spans)
    if (s.matches)
      bounds.push_back({s.begin, s.end});
  return bounds;
}

std::string message(std::string_view regex, std::string_view text = "") {
  return errorOf([&] {
    std::vector<Span> spans;
    engine(regex)->split(text, spans);
  });
}

class KnownPatternTest : public testing::TestWithParam<std::string_view> {};

TEST_P(KnownPatternTest, EqualsTheEngineOnEveryCodePoint) {
  const auto known = makeKnownPattern(GetParam());
  const auto slow = engine(GetParam());
  ASSERT_TRUE(known);
  std::string text;
  for (char32_t c = 1; c < 0xf0000; ++c) {
    if (c == 0x40000)
      c = 0xe0000; // nothing is assigned in between, nor after
    if (c < 0xd800 || c > 0xdfff) {
      std::string one;
      appendUtf8(one, c);
      text += "a" + one + "1 " + one + one + " '" + one + "e!" + one + "\n";
    }
    if (c % 256 == 255) {
      ASSERT_EQ(matches(*known, text), matches(*slow, text)) << uint32_t(c);
      text.clear();
    }
  }
}

TEST_P(KnownPatternTest, EqualsTheEngineOnRandomText) {
  const auto known = makeKnownPattern(GetParam());
  const auto slow = engine(GetParam());
  const char *parts[] = {" ",  "  ", "\n", "\r", "\t", "\u00a0", "\u3000",
                         "a",  "Z",  "é",  "語", "1",  "٣",      "½",
                         "'s", "'T", "'",  "re", "VE", "ll",     "'ſ",
                         "!",  "_",  "-",  "̈",   "🙂", "\u2028", "\u200d"};
  std::mt19937 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (size_t i = random() % 20; i > 0; --i)
      text += parts[random() % std::size(parts)];
    ASSERT_EQ(matches(*known, text), matches(*slow, text)) << text;
  }
}
INSTANTIATE_TEST_SUITE_P(Patterns, KnownPatternTest,
                         testing::Values(gpt2Regex, llama3Regex, qwen2Regex));

TEST(RegexTest, UnknownPatternsHaveNoMatcher) {
  EXPECT_FALSE(makeKnownPattern(std::string(gpt2Regex) + "|x"));
}

TEST(RegexTest, ExplosivePatternsEndInAnError) {
  const std::string text = std::string(100'000, 'a') + "!";
  EXPECT_EQ(message("(a+)+$", text),
            "regular expression \"(a+)+$\": expected to match within 1400004 "
            "steps, gave up in a text of 100001 bytes");
  // The same pattern is harmless where it matches.
  EXPECT_EQ(message("(a+)+$", std::string(100'000, 'a')), "no error");
}

TEST(RegexTest, WhatTheEngineWouldMisreadIsRefused) {
  const std::pair<const char *, const char *> cases[] = {
      {"(a", "tokenizer.json: expected a regular expression, found \"(a\" "
             "(missing closing parenthesis)"},
      {"[a[b]]", "tokenizer.json: a class inside a class is not supported"},
      {"[a&&b]", "tokenizer.json: && inside a class is not supported"},
      {"[\\W]", "tokenizer.json: a negated set such as \\W inside a class is "
                "not supported"},
      {"\\bx", "tokenizer.json: \\b is not supported in a regular expression"},
      {"(*UTF8)x",
       "tokenizer.json: (* is not supported in a regular expression"},
      {"(?m)x", "tokenizer.json: (?m is not supported in a regular expression"},
      {"(?i-x:a)",
       "tokenizer.json: (?i-x is not supported in a regular expression"},
      {"(?i:mess)", "tokenizer.json: ss beside (?i is not supported in a "
                    "regular expression"},
      {"(?i:\u00e9)", "tokenizer.json: a letter beyond ASCII beside (?i is not "
                      "supported in a regular expression"},
      {"a{1,3}+b",
       "tokenizer.json: }+ is not supported in a regular expression"},
      {"a{,3}", "tokenizer.json: {, is not supported in a regular expression"},
      {"\\u12", "tokenizer.json: expected four digits after \\u in the regular "
                "expression"},
      {"\\p{L", "tokenizer.json: expected \\p{NAME} in the regular expression"},
      {"a\\", "tokenizer.json: expected a character after \\ at the end of the "
              "regular expression"},
  };
  for (const auto &[regex, expected] : cases)
    EXPECT_EQ(message(regex), expected);
  EXPECT_EQ(message(std::string(70'000, 'a')),
            "tokenizer.json: expected a regular expression of at most 65536 "
            "bytes, found 70000");
}

TEST(RegexTest, EmptyMatchesSplitOnce) {
  using Bounds = std::vector<std::pair<size_t, size_t>>;
  EXPECT_EQ(matches(*engine("(?=B)"), "aBcB"), (Bounds{{1, 1}, {3, 3}}));
  EXPECT_EQ(matches(*engine("x*"), "axb"), (Bounds{{0, 0}, {1, 2}, {3, 3}}));
}

TEST(NormalFormTest, EqualsUnicodeOnItsOwnExamples) {
  const auto normalized = [](std::string text, NormalForm form) {
    normalize(text, form);
    return text;
  };
  EXPECT_EQ(normalized("e\u0301", NormalForm::C), "\u00e9");
  EXPECT_EQ(normalized("\u00e9", NormalForm::D), "e\u0301");
  EXPECT_EQ(normalized("\ufb01\u00b2", NormalForm::KC), "fi2");
  EXPECT_EQ(normalized("a\u0301\u0323", NormalForm::D), "a\u0323\u0301");
  EXPECT_EQ(normalized("\u1100\u1161\u11a8", NormalForm::C), "\uac01");
  // Newer than the tables of `tokenizers`: U+1E030 is a modifier letter.
  EXPECT_EQ(normalized("\U0001e030e\u0301", NormalForm::KC),
            "\U0001e030\u00e9");
}

} // namespace
