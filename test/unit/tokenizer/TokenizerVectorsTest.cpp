// SPDX-License-Identifier: Apache-2.0
//
// Real tokenizers against the vectors that came with them. They lie in
// ../shared/data; without it these tests say that they were skipped.
#include "runtime/text/Tokenizer.h"
#include "test/unit/tokenizer/TestFiles.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sstream>

using namespace fairy2;
using namespace fairy2::test;

namespace {

struct Case {
  const char *tokenizer; // folder
  const char *vectors;   // file without extension
};

std::unique_ptr<Tokenizer> load(const std::filesystem::path &path) {
  return Tokenizer::fromJson(readFile(path), path.filename().string());
}

class TokenizerVectorsTest : public testing::TestWithParam<Case> {};

TEST_P(TokenizerVectorsTest, IdsAreEqual) {
  const auto file =
      sharedData() / "tokenizers" / GetParam().tokenizer / "tokenizer.json";
  const auto vectors = sharedData() / "tokenizers" / "vectors";
  if (!exists(file))
    GTEST_SKIP() << "skipped: no ../shared/data";
  const auto tokenizer = load(file);

  // Texts are separated by a line of their own, ids stand one text to a line.
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string texts =
      readFile(vectors / (std::string(GetParam().vectors) + ".inp"));
  std::istringstream lines(
      readFile(vectors / (std::string(GetParam().vectors) + ".out")));
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const size_t end = texts.find(separator);
    ASSERT_NE(end, texts.npos);
    const std::string text = texts.substr(0, end);
    texts.erase(0, end + separator.size());
    std::istringstream numbers(line);
    const std::vector<int32_t> expected(std::istream_iterator<int32_t>(numbers),
                                        {});
    EXPECT_EQ(tokenizer->encode(text, false), expected) << text;
  }
  EXPECT_EQ(count, 46);
}
INSTANTIATE_TEST_SUITE_P(Files, TokenizerVectorsTest,
                         testing::Values(Case{"gpt2", "gpt-2"},
                                         Case{"llama2", "llama-spm"},
                                         Case{"qwen3", "qwen2"}),
                         [](const auto &info) {
                           return std::string(info.param.tokenizer);
                         });

TEST(TokenizerReferenceTest, Stories260KPromptAndText) {
  const auto folder = sharedData() / "stories260K-hf";
  if (!exists(folder))
    GTEST_SKIP() << "skipped: no ../shared/data";
  const auto tokenizer = load(folder / "tokenizer.json");
  const auto reference =
      nlohmann::json::parse(readFile(folder / "reference.json"));
  const auto prompt = reference["prompt_ids"].get<std::vector<int32_t>>();
  EXPECT_EQ(tokenizer->encode(tokenizer->decode(prompt), true), prompt);
  const auto greedy = reference["greedy_ids"].get<std::vector<int32_t>>();
  EXPECT_EQ(tokenizer->decode(greedy),
            reference["greedy_text"].get<std::string>());
  EXPECT_EQ(tokenizer->vocabSize(), 512);
  EXPECT_EQ(tokenizer->idOf("<s>"), 1);
  EXPECT_TRUE(tokenizer->isSpecial(1));
  EXPECT_FALSE(tokenizer->isSpecial(403));
}

} // namespace
