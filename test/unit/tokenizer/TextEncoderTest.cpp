// SPDX-License-Identifier: Apache-2.0
//
// Long texts in parts against the same texts whole, for every family of
// tokenizers and for texts that are hard to cut.
#include "runtime/text/TextEncoder.h"

#include "runtime/support/Utf8.h"
#include "test/unit/tokenizer/TestFiles.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <random>

using namespace fairy2;
using namespace fairy2::test;

namespace {

struct Encoded {
  std::vector<std::vector<int32_t>> documents;
  size_t most = 0; ///< ids handed on at once
};

/// The ids of each text, which comes in pieces of `piece` bytes.
Encoded encodeInParts(const Tokenizer &tokenizer,
                      const std::vector<std::string> &texts, size_t piece,
                      int threads, bool parseSpecial = true) {
  Encoded result;
  std::vector<int32_t> open;
  TextEncoder encoder(tokenizer, "text", parseSpecial, threads,
                      [&](std::span<const int32_t> ids, bool ends) {
                        result.most = std::max(result.most, ids.size());
                        open.insert(open.end(), ids.begin(), ids.end());
                        if (ends)
                          result.documents.push_back(std::exchange(open, {}));
                      });
  for (const std::string &text : texts) {
    for (size_t at = 0; at < text.size(); at += piece)
      encoder.append(std::string_view(text).substr(at, piece));
    encoder.endDocument();
  }
  encoder.finish();
  EXPECT_TRUE(open.empty());
  return result;
}

/// Parts of `parts`, in a random order, up to about 300 KB: three parts.
std::string randomText(const std::vector<std::string> &parts, unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < 300'000)
    text += parts[random() % parts.size()];
  return text;
}

std::string repeated(std::string_view what, size_t bytes) {
  std::string text;
  while (text.size() < bytes)
    text += what;
  return text;
}

const std::vector<std::string> &hardTexts() {
  static const std::vector<std::string> texts = {
      randomText(
          {"the ",    "quick",      " brown", " fox\n",          "jumps ",
           "over",    ", ",         "it's ",  "Don't",           "  ",
           "\n\n",    "12",         "3",      "4567 ",           "...",
           "a",       "\t",         "\r\n",   "gr\u00fc\u00df ", "\u4f60\u597d",
           "e\u0301", "\U0001f642", "\u3000", "\u2581",          "x_y",
           "(",       ")"},
          1),
      // No space to cut at.
      randomText({"\u4f60", "\u597d", "\u4e16\u754c", "\u3002", "a", "1"}, 2),
      randomText({"ab", "c", "Z", "0", "/", "+"}, 3),
      // Tokens of added ones, with spaces that some of them eat.
      randomText({"<s>", "</s>", "<|im_start|>", "<|endoftext|>", " ", "  ",
                  "\n", "<", "|", "x"},
                 4),
      randomText({" ", "  ", "\n", "\n\n", "\t", "   x"}, 5),
      // Runs, whose tokens depend on where the run began.
      repeated("a", 300'001),
      repeated(" ", 300'001),
      repeated("1234567", 300'001),
      repeated("ha", 300'001),
      repeated("e\u0301\u0327", 300'001),
      repeated("word" + std::string(9'000, ' '), 300'001),
      repeated("<s>" + std::string(5'000, ' ') + "x", 300'001),
  };
  return texts;
}

class TextEncoderTest : public testing::TestWithParam<const char *> {};

TEST_P(TextEncoderTest, PartsHaveTheIdsOfTheWhole) {
  const auto tokenizer = Tokenizer::fromJson(
      readFile(ownData() / (std::string(GetParam()) + ".json")),
      "tokenizer.json");
  for (const std::string &text : hardTexts())
    for (const bool parseSpecial : {true, false}) {
      const auto expected = tokenizer->encode(text, false, parseSpecial);
      const Encoded found =
          encodeInParts(*tokenizer, {text}, 65'537, 2, parseSpecial);
      ASSERT_EQ(found.documents.size(), 1u);
      EXPECT_TRUE(found.documents[0] == expected) << text.substr(0, 40);
    }
}
INSTANTIATE_TEST_SUITE_P(Fixtures, TextEncoderTest,
                         testing::Values("gpt2", "llama3", "qwen2", "smollm",
                                         "llama2", "unigram"),
                         [](const auto &info) {
                           return std::string(info.param);
                         });

class RealTextEncoderTest : public testing::TestWithParam<const char *> {};

/// The same with real tokenizers and a real text.
TEST_P(RealTextEncoderTest, PartsHaveTheIdsOfTheWhole) {
  const auto file = sharedData() / GetParam();
  if (!exists(file))
    GTEST_SKIP() << "skipped: no ../shared/data";
  const auto tokenizer = Tokenizer::fromJson(readFile(file), "tokenizer.json");
  const std::string text =
      readFile(sharedData() / "corpora/tinyshakespeare/input.txt");
  const auto expected = tokenizer->encode(text, false);
  const Encoded found = encodeInParts(*tokenizer, {text, "", text}, 4096, 2);
  ASSERT_EQ(found.documents.size(), 3u);
  EXPECT_TRUE(found.documents[0] == expected);
  EXPECT_TRUE(found.documents[1].empty());
  EXPECT_TRUE(found.documents[2] == expected);
  // It was cut, at about 128 KiB of its 1.1 MB.
  EXPECT_LT(found.most, expected.size() / 6);
}
INSTANTIATE_TEST_SUITE_P(Files, RealTextEncoderTest,
                         testing::Values("tokenizers/gpt2/tokenizer.json",
                                         "tokenizers/llama2/tokenizer.json",
                                         "tokenizers/qwen3/tokenizer.json",
                                         "stories260K-hf/tokenizer.json"),
                         [](const auto &info) {
                           const std::string name = info.param;
                           const size_t end = name.rfind('/');
                           std::string family = name.substr(0, end);
                           std::replace(family.begin(), family.end(), '/', '_');
                           std::replace(family.begin(), family.end(), '-', '_');
                           return family;
                         });

/// A normalizer that rewrites the end of any text tells every cut.
TEST(TextEncoderLimitTest, WhatCannotBeCutIsRefused) {
  auto file = nlohmann::json::parse(readFile(ownData() / "smollm.json"));
  file["normalizer"] = {
      {"type", "Replace"}, {"pattern", {{"Regex", "a$"}}}, {"content", "b"}};
  file["pre_tokenizer"] = nullptr;
  file["added_tokens"] = nlohmann::json::array();
  file["model"]["vocab"] = {{"a", 0}, {"b", 1}};
  file["model"]["merges"] = nlohmann::json::array();
  const auto tokenizer = Tokenizer::fromJson(file.dump(), "tokenizer.json");
  const std::string fits(300'000, 'a');
  std::vector<int32_t> expected(fits.size(), 0);
  expected.back() = 1;
  EXPECT_TRUE(encodeInParts(*tokenizer, {fits}, 4096, 1).documents[0] ==
              expected);
  EXPECT_EQ(errorOf([&] {
              encodeInParts(*tokenizer, {std::string(5'000'000, 'a')}, 4096, 1);
            }),
            "text: expected text that the tokenizer can cut, found none in 4 "
            "MiB");
}

} // namespace
