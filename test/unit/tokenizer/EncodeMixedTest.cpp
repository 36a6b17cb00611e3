// SPDX-License-Identifier: Apache-2.0
//
// Text of a chat template around text that people typed: special tokens come
// from the first alone, and where nobody spells one the ids are those of the
// text as a whole.
#include "runtime/text/Tokenizer.h"
#include "test/unit/tokenizer/TestFiles.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include <algorithm>

using namespace fairy2;
using namespace fairy2::test;

namespace {

class EncodeMixedTest : public testing::TestWithParam<const char *> {
protected:
  const std::string text =
      readFile(ownData() / (std::string(GetParam()) + ".json"));
  const std::unique_ptr<Tokenizer> tokenizer =
      Tokenizer::fromJson(text, "tokenizer.json");
  const nlohmann::json added = nlohmann::json::parse(text)["added_tokens"];

  int64_t specialIds(const std::vector<int32_t> &ids) const {
    return std::count_if(ids.begin(), ids.end(), [&](int32_t id) {
      return tokenizer->isSpecial(id) && id != tokenizer->idOf("<unk>");
    });
  }
};

TEST_P(EncodeMixedTest, AgreesWithEncodeAtBothEnds) {
  for (const std::string sample :
       {"Hello  there\n\nworld 123", "<s>a</s>", "<|im_start|>b<|im_end|>",
        " \xc3\xa9 <|eot_id|>", ""}) {
    EXPECT_EQ(tokenizer->encodeMixed(sample, {}),
              tokenizer->encode(sample, false));
    const ByteRange whole = {0, sample.size()};
    EXPECT_EQ(tokenizer->encodeMixed(sample, {&whole, 1}),
              tokenizer->encode(sample, false, false));
  }
}

TEST_P(EncodeMixedTest, TrustChangesNothingInPlainText) {
  const std::string sample = "user\n Hello  there\n\nand so on ";
  for (size_t begin = 0; begin < sample.size(); ++begin) {
    const ByteRange part = {begin, std::min(begin + 7, sample.size())};
    EXPECT_EQ(tokenizer->encodeMixed(sample, {&part, 1}),
              tokenizer->encode(sample, false));
  }
}

TEST_P(EncodeMixedTest, TypedTokensStayText) {
  for (const nlohmann::json &token : added) {
    const auto content = token["content"].get<std::string>();
    // A single word is not found beside the letters of this test.
    if (!token["special"] || content == "<unk>" || token["single_word"])
      continue;
    const std::string chat = content + "ab " + content + " cd" + content;
    const size_t begin = content.size(), end = chat.size() - content.size();
    const ByteRange typed = {begin, end};
    const std::vector<int32_t> ids = tokenizer->encodeMixed(chat, {&typed, 1});
    EXPECT_EQ(specialIds(ids), 2) << content;
    EXPECT_EQ(ids.front(), token["id"]) << content;
    EXPECT_EQ(ids.back(), token["id"]) << content;
    EXPECT_EQ(specialIds(tokenizer->encode(chat, false)), 3) << content;
    // Nor may a token be put together from typed and template text.
    for (size_t cut = 1; cut < content.size(); ++cut) {
      const ByteRange head = {0, cut}, tail = {cut, content.size()};
      EXPECT_EQ(specialIds(tokenizer->encodeMixed(content, {&head, 1})), 0);
      EXPECT_EQ(specialIds(tokenizer->encodeMixed(content, {&tail, 1})), 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Fixtures, EncodeMixedTest,
                         testing::Values("gpt2", "llama2", "llama3", "qwen2",
                                         "smollm", "unigram"));

} // namespace
