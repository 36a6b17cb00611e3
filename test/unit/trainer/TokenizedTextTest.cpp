// SPDX-License-Identifier: Apache-2.0
//
// Shards hold what tokenizing directly gives, and damaged ones are named.
#include "trainer/data/TokenizedText.h"
#include "frontend/HFConfig.h"

#include "runtime/support/File.h"
#include "test/unit/trainer/TinyModels.h"
#include "trainer/data/Corpus.h"
#include "trainer/data/LoadTokenizer.h"
#include "trainer/model/Model.h"
#include "trainer/run/Sha256.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstring>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

class TokenizedTextTest : public testing::Test {
protected:
  TokenizedTextTest() {
    writeTinyModel(folder / "model");
    LoadedTokenizer loaded = loadTokenizer(folder / "model");
    tokenizer = std::move(loaded.tokenizer);
    sha256 = loaded.sha256;
    std::string lines;
    for (int i = 0; i < 40; ++i)
      lines += "{\"text\": \"" + tinyText(1 + i % 7, unsigned(i)) +
               "\", \"from\": \"" + (i % 3 ? "x" : "y") + "\"}\n";
    options.model = (folder / "model").string();
    options.inputs = {folder.write("a.jsonl", lines),
                      folder.write("b.txt", tinyText(30, 9))};
    options.output = (folder / "out").string();
  }

  std::vector<int32_t> direct(const std::string &separator) const {
    Recipe::Data data;
    data.separator = separator;
    std::vector<int32_t> all;
    for (const std::string &input : options.inputs) {
      const Corpus corpus =
          Corpus::read({input, 1, options.where}, data,
                       {*tokenizer, "", {{1}, {2}}, 264}, folder.path());
      const std::vector<int32_t> more = corpus.window(0, corpus.size());
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }
  TokenizeResult tokenize() const {
    return tokenizeFiles(options, HFConfig::read(options.model));
  }
  TokenizedText open(const std::string &separator = "bos",
                     int64_t vocabSize = 264) const {
    return TokenizedText::open(options.output, separator, options.specialTokens,
                               sha256, vocabSize);
  }
  /// Replaces bytes of the first shard.
  void damage(size_t offset, const std::string &bytes) const {
    std::string content = readWholeFile(folder / "out/00000.tokens");
    content.replace(offset, bytes.size(), bytes);
    folder.write("out/00000.tokens", content);
  }

  TemporaryFolder folder;
  std::unique_ptr<Tokenizer> tokenizer;
  std::string sha256;
  TokenizeOptions options;
};

/// Shards hold what a recipe that names the files themselves would train on, at
/// any size of shard, and any window can be read across them.
TEST_F(TokenizedTextTest, HoldsWhatTheFilesHold) {
  for (const char *separator : {"none", "bos", "eos", "both"})
    for (const int64_t shardTokens : {1, 1 << 27}) {
      std::filesystem::remove_all(options.output);
      options.separator = separator;
      options.shardTokens = shardTokens;
      const TokenizeResult result = tokenize();
      EXPECT_EQ(result.documents, 41);
      EXPECT_EQ(result.shards, 1);
      const std::vector<int32_t> expected = direct(separator);
      const TokenizedText text = open(separator);
      ASSERT_EQ(text.size(), int64_t(expected.size()));
      EXPECT_EQ(result.tokens, text.size());
      for (const int64_t begin : {int64_t(0), int64_t(5), text.size() - 11}) {
        std::vector<int32_t> window(11);
        text.read(begin, window);
        EXPECT_TRUE(
            std::equal(window.begin(), window.end(), expected.begin() + begin));
      }
    }
}

TEST_F(TokenizedTextTest, WindowsCrossShards) {
  options.inputs = {};
  for (int i = 0; i < 3; ++i)
    options.inputs.push_back(
        folder.write("big" + std::to_string(i) + ".txt",
                     tinyText(1, unsigned(i)) +
                         std::string((size_t(8) << 20) + i, 'a' + i)));
  options.shardTokens = int64_t(8) << 20;
  const TokenizeResult result = tokenize();
  EXPECT_EQ(result.shards, 3);
  EXPECT_EQ(result.documents, 3);
  const std::vector<int32_t> expected = direct("bos");
  const TokenizedText text = open();
  std::vector<int32_t> all(size_t(text.size()));
  text.read(0, all);
  EXPECT_TRUE(all == expected);
  std::vector<int32_t> middle(size_t(9) << 20);
  text.read((int64_t(8) << 20) - 100, middle);
  EXPECT_TRUE(std::equal(middle.begin(), middle.end(),
                         expected.begin() + (int64_t(8) << 20) - 100));
}

TEST_F(TokenizedTextTest, RecordsAreChosen) {
  options.inputs.pop_back();
  options.where = {{"from", "y"}};
  EXPECT_EQ(tokenize().documents, 14);
  std::vector<int32_t> all(size_t(open().size()));
  open().read(0, all);
  EXPECT_EQ(all, direct("bos"));
}

/// What a shard was tokenized with is what the recipe asks for; an index from
/// before there was a choice holds text.
TEST_F(TokenizedTextTest, SpecialTokensAreAsTheRecipeSays) {
  options.inputs = {folder.write("s.txt", "<s>ab</s>")};
  options.separator = "none";
  tokenize();
  std::vector<int32_t> all(4);
  ASSERT_EQ(open("none").size(), 4);
  open("none").read(0, all);
  EXPECT_EQ(all.front(), 1);
  EXPECT_EQ(all.back(), 2);
  options.specialTokens = "text";
  EXPECT_EQ(errorOf([&] { open("none"); }),
            options.output + "/index.json: was tokenized with special_tokens "
                             "'parse', and data.special_tokens is 'text'");
  nlohmann::json index =
      nlohmann::json::parse(readWholeFile(folder / "out/index.json"));
  index.erase("special_tokens");
  folder.write("out/index.json", index.dump());
  EXPECT_EQ(open("none").size(), 4);
  std::filesystem::remove_all(options.output);
  tokenize();
  EXPECT_EQ(open("none").size(), 9);
}

TEST_F(TokenizedTextTest, WhatDoesNotFitIsNamed) {
  tokenize();
  EXPECT_EQ(errorOf([&] { tokenize(); }),
            options.output + ": holds tokenized text already");
  EXPECT_EQ(errorOf([&] { open("eos"); }),
            options.output + "/index.json: was tokenized with the separator "
                             "'bos', and data.separator is 'eos'");
  EXPECT_EQ(errorOf([&] {
              TokenizedText::open(options.output, "bos", "parse", "other", 264);
            }),
            options.output + "/index.json: was tokenized with another "
                             "tokenizer than the model's");
  EXPECT_NE(errorOf([&] {
              open("bos", 40);
            }).find("does not fit the model's vocabulary of 40"),
            std::string::npos);
  const std::string inTheWay = folder.write("file", "");
  options.output = inTheWay + "/new";
  EXPECT_EQ(errorOf([&] { tokenize(); }),
            options.output + ": cannot make this folder: Not a directory");
  options.output = (folder / "none").string();
  options.inputs = {folder.write("c.txt", ""), folder.write("d.jsonl", "\n")};
  EXPECT_EQ(errorOf([&] { tokenize(); }), options.inputs[0] + ", " +
                                              options.inputs[1] +
                                              ": expected text, found none");
  EXPECT_FALSE(TokenizedText::isFolder(options.output));
  options.output = (folder / "absent").string();
  options.inputs = {(folder / "absent.txt").string()};
  EXPECT_EQ(errorOf([&] { tokenize(); }),
            (folder / "absent.txt").string() +
                ": cannot open: No such file or directory");
  EXPECT_FALSE(std::filesystem::exists(options.output));
}

TEST_F(TokenizedTextTest, DamagedShardsAreNamed) {
  struct Case {
    size_t offset;
    std::string bytes, expected;
  };
  const Case cases[] = {
      {0, "X", "expected FAIRY2TK at its start"},
      {8, "\2", "expected version 1, found 2"},
      {12, "\3", "expected 2 or 4 bytes per token, found 3"},
      {16, "\377", "tokens as its header says, found"},
      {112, "12345678", "is not the shard that index.json lists"},
      {130, "\1", "its tokens do not have the hash that its header gives"},
  };
  for (const Case &c : cases) {
    std::filesystem::remove_all(options.output);
    tokenize();
    damage(c.offset, c.bytes);
    const std::string message = errorOf([&] { open(); });
    EXPECT_NE(message.find("00000.tokens: "), std::string::npos) << message;
    EXPECT_NE(message.find(c.expected), std::string::npos)
        << "found: " << message << "\nexpected: " << c.expected;
  }
  folder.write("out/00000.tokens", "short");
  EXPECT_NE(errorOf([&] { open(); }).find("ends before its header"),
            std::string::npos);
  folder.write("out/index.json",
               "{\"format\": \"fairy2-tokens\", \"separator\": \"bos\", "
               "\"special_tokens\": \"parse\", \"tokenizer_sha256\": \"" +
                   sha256 + "\", \"shards\": [{\"file\": \"../a.jsonl\"}]}");
  EXPECT_NE(errorOf([&] {
              open();
            }).find("shards[0].file': expected a name, found '../a.jsonl'"),
            std::string::npos);
}

} // namespace
