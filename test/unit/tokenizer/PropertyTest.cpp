// SPDX-License-Identifier: Apache-2.0
//
// Scripts, categories and POSIX sets in regular expressions, as `tokenizers`
// reads them (see make_scripts.py), and what is refused.
#include "runtime/support/Error.h"
#include "runtime/support/Utf8.h"
#include "runtime/text/tokenizer/Pattern.h"
#include "test/unit/tokenizer/TestFiles.h"

#include <gtest/gtest.h>

using namespace fairy2;
using namespace fairy2::test;
using namespace fairy2::tokenizer;

namespace {

std::unique_ptr<Pattern> engine(std::string_view regex) {
  const nlohmann::json value = regex;
  return makeRegex(JsonField(value, "tokenizer.json"));
}

/// The characters of `text` that `regex` matches.
std::string found(std::string_view regex, std::string_view text) {
  std::vector<Span> spans;
  engine(regex)->split(text, spans);
  std::string out;
  for (const Span &span : spans)
    if (span.matches)
      out += text.substr(span.begin, span.end - span.begin);
  return out;
}

TEST(PropertyTest, ScriptsAreOnigurumasAtEveryBorder) {
  const auto golden = nlohmann::ordered_json::parse(
      readFile(ownData() / "scripts.golden.json"));
  ASSERT_GT(golden.size(), 165u);
  std::vector<char32_t> points;
  for (const auto &[names, list] : golden.items())
    for (const uint32_t c : list)
      points.push_back(c);
  std::sort(points.begin(), points.end());
  for (const auto &[names, list] : golden.items()) {
    std::string text, members, others;
    const std::vector<uint32_t> own = list;
    for (const char32_t c : points) {
      appendUtf8(text, c);
      appendUtf8(
          std::binary_search(own.begin(), own.end(), c) ? members : others, c);
    }
    const std::string name = names.substr(0, names.find(' '));
    const std::string alias = names.substr(names.rfind(' ') + 1);
    EXPECT_EQ(found("\\p{" + name + "}+", text), members) << name;
    EXPECT_EQ(found("[\\p{" + alias + "}]", text), members) << name;
    EXPECT_EQ(found("[^\\P{" + name + "}]", text), members) << name;
    EXPECT_EQ(found("[^\\p{" + name + "}]+", text), others) << name;
    EXPECT_EQ(found("\\P{" + name + "}", text), others) << name;
    EXPECT_EQ(found("\\p{^" + alias + "}", text), others) << name;
    EXPECT_EQ(found("[\\p{^" + name + "}]", text), others) << name;
  }
}

TEST(PropertyTest, NamesAreTakenWithoutCaseAndBlanks) {
  for (const char *name : {"Old_Italic", "olditalic", "OLD ITALIC",
                           "Old-Italic", "ital", " _Ital"})
    EXPECT_EQ(found("\\p{" + std::string(name) + "}", "a\U00010300b"),
              "\U00010300")
        << name;
  EXPECT_EQ(found("\\p{letter}", "a1b"), "ab");
  EXPECT_EQ(found("\\p{Decimal_Number}", "a1b"), "1");
}

TEST(PropertyTest, SetsAreThoseOfTokenizers) {
  const std::string text = "a\u00b5A\u0391 _$!+^`|~\u00a7\t\n\u2028\u0661\u00b2"
                           "\u00a0\u3000\U000323af\u0378";
  const std::pair<const char *, std::string> cases[] = {
      {"\\p{Punct}", "_!\u00a7"},
      {"[[:punct:]]", "_$!+^`|~\u00a7"},
      {"\\p{P}", "_!\u00a7"},
      {"[^[:punct:]\\s]", "a\u00b5A\u0391\u0661\u00b2\U000323af\u0378"},
      {"[[:space:]]", " \t\n\u2028\u00a0\u3000"},
      {"\\p{Blank}", " \t\u00a0\u3000"},
      {"[[:digit:]]", "\u0661"},
      {"[[:word:]]", "a\u00b5A\u0391_\u0661\U000323af"},
      {"\\w", "a\u00b5A\u0391_\u0661\u00b2\U000323af"},
      {"[\\p{LC}]", "a\u00b5A\u0391"},
      {"[[:cntrl:]]", "\t\n"},
      {"\\p{Cn}", "\u0378"},
      {"\\p{C}", "\t\n\u0378"},
      {"\\P{Cn}", text.substr(0, text.size() - 2)},
      {"\\p{Any}", text},
      {"(?i:a)|\\p{Lu}", "aA\u0391"},
      {"(?:(?i)a)|\\p{Ll}", "a\u00b5A"}};
  for (const auto &[regex, expected] : cases)
    EXPECT_EQ(found(regex, text), expected) << regex;
  // The last one came with Unicode 16; a modifier letter is no symbol.
  const std::string symbols = "\u00a9\u2603\u20ac\u2212\U0001f600\U0001fae9";
  EXPECT_EQ(found("[[:punct:]]", symbols + "\u02c7x"), symbols);
  EXPECT_EQ(found("\\p{Punct}", symbols), "");
}

TEST(PropertyTest, WhatOnigurumaReadsOtherwiseIsRefused) {
  const auto sentence = [](const std::string &construct) {
    return "tokenizer.json: " + construct +
           " is not supported in a regular expression";
  };
  for (const char *construct :
       {"\\p{L&}", "\\p{Script=Han}", "\\p{sc:Han}", "\\p{Alphabetic}",
        "\\p{Emoji}", "\\p{In_Basic_Latin}", "\\p{}", "\\p{Xan}"})
    EXPECT_EQ(errorOf([&] { engine(construct); }), sentence(construct));
  EXPECT_EQ(errorOf([&] { engine("[[:alpha:]]"); }), sentence("[:alpha:]"));
  for (const char *construct : {"\\p{Lu}", "\\p{Greek}"})
    EXPECT_EQ(errorOf([&] { engine("(?i:x" + std::string(construct) + ")"); }),
              sentence(std::string(construct) + " under (?i"));
}

} // namespace
