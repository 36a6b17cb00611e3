// SPDX-License-Identifier: Apache-2.0
//
// Tokenizers that lie in several files: the ids that transformers finds (see
// make_tokenizer_folders.py), and folders that are refused.
#include "frontend/TokenizerFolder.h"

#include "runtime/text/Tokenizer.h"
#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

using namespace fairy2;
using nlohmann::json;

namespace {

const std::string kFixtures = FAIRY2_SOURCE_DIR "/test/unit/tokenizer/data/";

std::string fromHex(const std::string &hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes += char(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

/// vocab.json and merges.txt of a byte-level tokenizer.json.
void writeSlowFiles(const TemporaryFolder &folder, const std::string &file) {
  const json model = json::parse(readFile(file))["model"];
  folder.write("vocab.json", model["vocab"].dump());
  std::string merges = "#version: 0.2\n";
  for (const json &merge : model["merges"])
    merges += (merge.is_string() ? merge.get<std::string>()
                                 : merge[0].get<std::string>() + " " +
                                       merge[1].get<std::string>()) +
              "\n";
  folder.write("merges.txt", merges);
}

std::unique_ptr<Tokenizer> load(const TemporaryFolder &folder) {
  const TokenizerFolder files = readTokenizerFolder(folder.path());
  return Tokenizer::fromJson(files.json, files.origin);
}

TEST(TokenizerFolderTest, IdsAreThoseOfTransformers) {
  const json golden = json::parse(readFile(
      FAIRY2_SOURCE_DIR "/test/unit/frontend/data/tokenizer_folders.json"));
  ASSERT_GT(golden["folders"].size(), 15u);
  for (const json &entry : golden["folders"]) {
    const TemporaryFolder folder;
    const std::string base = entry["base"];
    if (base == "sentencepiece")
      folder.write("tokenizer.model", fromHex(golden["sentencepiece"]));
    else if (base.starts_with("slow "))
      writeSlowFiles(folder, kFixtures + base.substr(5) + ".json");
    else
      folder.write("tokenizer.json", readFile(kFixtures + base + ".json"));
    for (const auto &[name, content] : entry["files"].items())
      folder.write(name, content.dump());
    const auto tokenizer = load(folder);
    for (size_t i = 0; i < golden["texts"].size(); ++i)
      if (!entry["ids"][i].is_null())
        EXPECT_EQ(json(tokenizer->encode(golden["texts"][i].get<std::string>(),
                                         true)),
                  entry["ids"][i])
            << base << " " << entry["files"] << " " << golden["texts"][i];
  }
}

class TokenizerFolderErrors : public testing::Test {
protected:
  std::string error() const {
    return folder.errorOf([&] { load(folder); });
  }
  /// A tokenizer.json of the tokens a and b.
  void writeLetters() const {
    folder.write("tokenizer.json",
                 R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1},
                     "merges": []}})");
  }
  const TemporaryFolder folder;
};

TEST_F(TokenizerFolderErrors, PlainFilesStayAsTheyAre) {
  const std::string text = readFile(kFixtures + "qwen2.json");
  folder.write("tokenizer.json", text);
  folder.write("tokenizer_config.json", R"({"eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>", "bos_token": null})");
  const TokenizerFolder files = readTokenizerFolder(folder.path());
  EXPECT_EQ(files.json, text);
  EXPECT_EQ(files.specialTokens, json({{"eos_token", "<|im_end|>"},
                                       {"pad_token", "<|endoftext|>"}}));
}

TEST_F(TokenizerFolderErrors, NoTokenizerIsNoError) {
  EXPECT_EQ(readTokenizerFolder(folder.path()).json, "");
  folder.write("tokenizer_config.json", "{}");
  EXPECT_EQ(readTokenizerFolder(folder.path()).json, "");
}

TEST_F(TokenizerFolderErrors, OtherVocabulariesAreNamed) {
  folder.write("tekken.json", "{}");
  folder.write("qwen.tiktoken", "");
  folder.write("vocab.json", "{}");
  EXPECT_EQ(error(),
            "DIR: expected tokenizer.json, tokenizer.model, or vocab.json and "
            "merges.txt, found 'qwen.tiktoken', 'tekken.json', 'vocab.json'");
}

TEST_F(TokenizerFolderErrors, TiktokenIsNoSentencePiece) {
  folder.write("tokenizer.model", "IQ== 0\nIg== 1\n");
  EXPECT_EQ(error(), "DIR/tokenizer.model: expected a SentencePiece model, "
                     "found a vocabulary of tiktoken, which is not supported; "
                     "a tokenizer.json beside it is");
}

TEST_F(TokenizerFolderErrors, ByteLevelFilesNeedAClass) {
  writeSlowFiles(folder, kFixtures + "gpt2.json");
  const std::string sentence =
      "DIR: vocab.json and merges.txt: expected the tokenizer_class "
      "GPT2Tokenizer, CodeGenTokenizer or Qwen2Tokenizer in "
      "tokenizer_config.json, found ";
  EXPECT_EQ(error(), sentence + "none");
  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "RobertaTokenizer"})");
  EXPECT_EQ(error(), sentence + "'RobertaTokenizer'");
  folder.write("tokenizer_config.json", "{}");
  folder.write("config.json", R"({"model_type": "qwen2"})");
  EXPECT_EQ(load(folder)->idOf("<|endoftext|>"), 340);
  folder.write("merges.txt", "#version: 0.2\na b\na b c\n");
  EXPECT_EQ(error(), "DIR/merges.txt: line 3: expected two pieces with one "
                     "space between, found 'a b c'");
}

TEST_F(TokenizerFolderErrors, IdsMustBeThoseTheTokenizerGives) {
  writeLetters();
  folder.write("tokenizer_config.json", R"({"added_tokens_decoder": {
    "2": {"content": "<x>"}, "4": {"content": "<y>"}}})");
  EXPECT_EQ(error(), "DIR/tokenizer_config.json: field "
                     "'added_tokens_decoder.4': expected 3 for \"<y>\", the "
                     "next id after the vocabulary, found 4");
  folder.write("tokenizer_config.json",
               R"({"added_tokens_decoder": {"1": {"content": "a"}}})");
  EXPECT_EQ(error(), "DIR/tokenizer_config.json: field "
                     "'added_tokens_decoder.1': expected 0 for \"a\", its id "
                     "in model.vocab, found 1");
  folder.write("tokenizer_config.json", "{}");
  folder.write("added_tokens.json", R"({"<x>": 7})");
  EXPECT_EQ(error(), "DIR/added_tokens.json: field '<x>': expected 2 for "
                     "\"<x>\", the next id after the vocabulary, found 7");
}

TEST_F(TokenizerFolderErrors, FieldsOfOtherKindsAreNamed) {
  writeLetters();
  const std::string file = "DIR/tokenizer_config.json: field ";
  const std::pair<const char *, std::string> cases[] = {
      {R"({"added_tokens_decoder": {"x": {"content": "<x>"}}})",
       file + "'added_tokens_decoder': expected ids as names, found 'x'"},
      {R"({"added_tokens_decoder": {"2": {}}})",
       file + "'added_tokens_decoder.2.content': is missing"},
      {R"({"added_tokens_decoder": {"2": {"content": "x", "lstrip": 1}}})",
       file + "'added_tokens_decoder.2.lstrip': expected true or false, found "
              "1"},
      {R"({"additional_special_tokens": "<x>"})",
       file + "'additional_special_tokens': expected a list of tokens, found "
              "\"<x>\""},
      {R"({"additional_special_tokens": [3]})",
       file + "'additional_special_tokens.0': expected a token, found 3"}};
  for (const auto &[config, message] : cases) {
    folder.write("tokenizer_config.json", config);
    EXPECT_EQ(error(), message);
  }
}

TEST_F(TokenizerFolderErrors, WhatIsNoRegularFileIsRefused) {
  std::filesystem::create_symlink(folder.path() / "nothing",
                                  folder.path() / "tokenizer.json");
  EXPECT_EQ(error(), "DIR/tokenizer.json: no such file");
  std::filesystem::remove(folder.path() / "tokenizer.json");
  std::filesystem::create_directory(folder.path() / "tokenizer.json");
  EXPECT_EQ(error(),
            "DIR/tokenizer.json: expected a regular file, found a folder");
}

} // namespace
