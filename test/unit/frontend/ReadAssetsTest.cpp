// SPDX-License-Identifier: Apache-2.0
//
// Chat templates and special tokens in every place that checkpoints put them.
#include "frontend/ReadAssets.h"

#include "test/unit/frontend/TestFiles.h"

using namespace fairy2;
using nlohmann::json;

namespace {

class ReadAssetsTest : public testing::Test {
protected:
  ModelAssets read(int64_t vocabSize = 2) const {
    HFConfig config;
    config.vocabSize = vocabSize;
    return readAssets(folder.path(), config);
  }
  std::string error(int64_t vocabSize = 2) const {
    return folder.errorOf([&] { read(vocabSize); });
  }
  const TemporaryFolder folder;
};

TEST_F(ReadAssetsTest, AllFilesMayBeAbsent) {
  const ModelAssets assets = read();
  EXPECT_EQ(assets.chatTemplate, "");
  EXPECT_EQ(assets.tokenizer, "");
  EXPECT_EQ(assets.specialTokens, json::object());
}

TEST_F(ReadAssetsTest, ChatTemplateIsAStringAListOrAFile) {
  folder.write("tokenizer_config.json", R"({"chat_template": "a"})");
  EXPECT_EQ(read().chatTemplate, "a");
  folder.write("tokenizer_config.json", R"({"chat_template": [
    {"name": "tool_use", "template": "b"},
    {"name": "default", "template": "c"}]})");
  EXPECT_EQ(read().chatTemplate, "c");
  folder.write("chat_template.jinja", "d");
  EXPECT_EQ(read().chatTemplate, "d");
}

TEST_F(ReadAssetsTest, TemplatesThatCannotBeChosenAreNamed) {
  const std::string field =
      "DIR/tokenizer_config.json: field 'chat_template': ";
  folder.write("tokenizer_config.json", R"({"chat_template": [
    {"name": "tool_use", "template": "b"},
    {"name": "rag", "template": "c"}]})");
  EXPECT_EQ(error(), field + "expected a template named 'default', found "
                             "'tool_use', 'rag'; put the one you want into "
                             "chat_template.jinja");
  folder.write("tokenizer_config.json", R"({"chat_template": []})");
  EXPECT_EQ(error(), field + "expected a template named 'default', found an "
                             "empty list; put the one you want into "
                             "chat_template.jinja");
  folder.write("tokenizer_config.json", R"({"chat_template": 7})");
  EXPECT_EQ(error(), field + "expected a string, found 7");
  folder.write("tokenizer_config.json", R"({"chat_template": ["x"]})");
  EXPECT_EQ(error(), field + "expected an object, found \"x\"");
  folder.write("tokenizer_config.json", R"({"chat_template": [{}]})");
  EXPECT_EQ(error(), "DIR/tokenizer_config.json: field 'chat_template.name': "
                     "is missing");
}

TEST_F(ReadAssetsTest, TemplatesThatCannotBeReadAreNamed) {
  const char *broken = "a\n{% for m in messages %}";
  folder.write("chat_template.jinja", broken);
  EXPECT_EQ(error().find("DIR/chat_template.jinja: line "), 0u) << error();
  std::filesystem::remove(folder.path() / "chat_template.jinja");
  folder.write("tokenizer_config.json",
               json({{"chat_template", broken}}).dump());
  const std::string field = "DIR/tokenizer_config.json: field 'chat_template'";
  EXPECT_EQ(error().find(field + ": line "), 0u) << error();
  folder.write(
      "tokenizer_config.json",
      json({{"chat_template", {{{"name", "default"}, {"template", broken}}}}})
          .dump());
  EXPECT_EQ(error().find(field + ": line "), 0u) << error();
}

TEST_F(ReadAssetsTest, SpecialTokensAreTextsOrAddedTokens) {
  folder.write("tokenizer_config.json", R"({
    "bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>",
    "pad_token": null, "added_tokens_decoder": {}})");
  folder.write("special_tokens_map.json", R"({"eos_token": "<other>"})");
  EXPECT_EQ(read().specialTokens,
            json({{"bos_token", "<s>"}, {"eos_token", "</s>"}}));
}

TEST_F(ReadAssetsTest, OldTokenizerConfigsGiveWayToTheMap) {
  folder.write("tokenizer_config.json", R"({"bos_token": "<s>",
    "eos_token": "</s>"})");
  folder.write("special_tokens_map.json",
               R"({"eos_token": {"content": "<end>"}, "pad_token": "<p>"})");
  EXPECT_EQ(read().specialTokens, json({{"bos_token", "<s>"},
                                        {"eos_token", "<end>"},
                                        {"pad_token", "<p>"}}));
}

TEST_F(ReadAssetsTest, SpecialTokensOfOtherKindsAreRefused) {
  folder.write("special_tokens_map.json", R"({"bos_token": 1})");
  EXPECT_EQ(error(), "DIR/special_tokens_map.json: field 'bos_token': expected "
                     "a string, found 1");
  folder.write("special_tokens_map.json", R"({"bos_token": {"id": 1}})");
  EXPECT_EQ(error(), "DIR/special_tokens_map.json: field "
                     "'bos_token.content': is missing");
  folder.write("special_tokens_map.json", "[]");
  EXPECT_EQ(error(), "DIR/special_tokens_map.json: expected an object, found "
                     "a list of 0 values");
}

/// A SentencePiece model of <unk> and one letter.
std::string pieces() {
  const auto piece = [](const std::string &text, char type) {
    const std::string fields = std::string("\x0a") + char(text.size()) + text +
                               "\x15" + std::string(4, '\0') + "\x18" + type;
    return std::string("\x0a") + char(fields.size()) + fields;
  };
  return piece("<unk>", 2) + piece("a", 1) + "\x12\x02\x18\x02";
}

/// A tokenizer.json of two letters and an added token of the next id.
std::string letters(bool special) {
  return R"({"added_tokens": [{"id": 2, "content": "<img>", "lstrip": false,
    "rstrip": false, "single_word": false, "normalized": false, "special": )" +
         std::string(special ? "true" : "false") +
         R"(}], "model": {"type": "BPE", "vocab": {"a": 0, "b": 1},
                          "merges": []}})";
}

TEST_F(ReadAssetsTest, TokenizerModelStandsInForTokenizerJson) {
  folder.write("tokenizer.model", pieces());
  EXPECT_NE(read().tokenizer.find("[\"a\",0.0]"), std::string::npos);
  EXPECT_EQ(error(1), "DIR/tokenizer.model: expected ids below config.json's "
                      "vocab_size of 1, found 1");
  folder.write("tokenizer.json", letters(true));
  EXPECT_EQ(read().tokenizer, letters(true));
}

/// As Gemma 3's text models have one for images.
TEST_F(ReadAssetsTest, SpecialTokensMayLieBeyondTheEmbedding) {
  folder.write("tokenizer.json", letters(true));
  EXPECT_EQ(error(2), "no error");
  EXPECT_EQ(error(1), "DIR/tokenizer.json: expected ids below config.json's "
                      "vocab_size of 1, found 1");
  folder.write("tokenizer.json", letters(false));
  EXPECT_EQ(error(2), "DIR/tokenizer.json: expected ids below config.json's "
                      "vocab_size of 2, found 2");
}

} // namespace
