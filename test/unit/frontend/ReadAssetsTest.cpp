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
  ModelAssets read() const { return readAssets(folder.path(), HFConfig()); }
  std::string error() const {
    return folder.errorOf([&] { read(); });
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
    {"name": "tool_use", "template": "b"}, {"name": "rag", "template": "c"}]})");
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

} // namespace
