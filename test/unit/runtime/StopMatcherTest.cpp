// SPDX-License-Identifier: Apache-2.0
//
// Stop strings in every cut of the text into pieces.
#include "runtime/StopMatcher.h"

#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

#include <random>

using namespace fairy2;

namespace {

struct Result {
  std::string text;
  bool stopped;
  bool operator==(const Result &) const = default;
};

Result feed(const std::vector<std::string> &stops,
            const std::vector<std::string> &pieces) {
  StopMatcher matcher(stops);
  std::string text;
  for (const std::string &piece : pieces)
    text += matcher.next(piece);
  text += matcher.finish();
  return {text, matcher.stopped()};
}

TEST(StopMatcherTest, WithoutStopsTextPassesAtOnce) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.next("abc"), "abc");
  EXPECT_EQ(matcher.next(""), "");
  EXPECT_EQ(matcher.finish(), "");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcherTest, CutsBeforeTheStopString) {
  EXPECT_EQ(feed({"END"}, {"one END two"}), (Result{"one ", true}));
  EXPECT_EQ(feed({"END"}, {"one E", "N", "D two", "three"}),
            (Result{"one ", true}));
  EXPECT_EQ(feed({"END"}, {"END"}), (Result{"", true}));
  EXPECT_EQ(feed({"b", "ab"}, {"xaby"}), (Result{"x", true}));
}

TEST(StopMatcherTest, HoldsBackOnlyWhatMayStillMatch) {
  StopMatcher matcher({"aab", "\n\n"});
  EXPECT_EQ(matcher.next("xa"), "x");
  EXPECT_EQ(matcher.next("a"), "");
  EXPECT_EQ(matcher.next("a"), "a"); // "aa" still may begin "aab"
  EXPECT_EQ(matcher.next("c\n"), "aac");
  EXPECT_EQ(matcher.next("d"), "\nd");
  EXPECT_EQ(matcher.next("aa"), "");
  EXPECT_EQ(matcher.finish(), "aa");
  EXPECT_FALSE(matcher.stopped());
}

TEST(StopMatcherTest, EmptyStopIsRefused) {
  EXPECT_EQ(errorOf([] { StopMatcher matcher({"a", ""}); }),
            "stop: expected text, found an empty string");
}

/// Letter by letter or in random pieces: the same text, and equal to a search
/// of the whole for the stop string that ends first.
TEST(StopMatcherTest, PiecesDoNotMatter) {
  std::mt19937 random(1);
  const auto randomText = [&](size_t length) {
    std::string text;
    for (size_t i = 0; i < length; ++i)
      text += "ab"[random() % 2];
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    const std::vector<std::string> stops = {randomText(random() % 4 + 2),
                                            randomText(random() % 5 + 3)};
    const std::string text = randomText(30);
    Result expected{text, false};
    for (size_t end = 1; end <= text.size() && !expected.stopped; ++end)
      for (const std::string &stop : stops)
        if (text.substr(0, end).ends_with(stop)) {
          const std::string before = text.substr(0, end - stop.size());
          if (!expected.stopped || before.size() < expected.text.size())
            expected = {before, true};
        }
    std::vector<std::string> letters;
    for (const char c : text)
      letters.emplace_back(1, c);
    const size_t cut = random() % text.size();
    for (const auto &pieces :
         {letters, {text}, {text.substr(0, cut), text.substr(cut)}})
      EXPECT_EQ(feed(stops, pieces), expected)
          << text << " " << stops[0] << " " << stops[1];
  }
}

} // namespace
