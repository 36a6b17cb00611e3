// SPDX-License-Identifier: Apache-2.0
//
// Tokenizer, chat template and special tokens, from the files in which the
// Hugging Face libraries keep them.
#include "frontend/ReadAssets.h"

#include "frontend/CompanionTokens.h"
#include "frontend/TokenizerFolder.h"
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "runtime/support/Words.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/jinja/Template.h"

namespace fairy2 {
namespace {

constexpr int64_t kMaxTemplateBytes = int64_t(1) << 20;

nlohmann::json describe(const HFConfig &config) {
  nlohmann::json model = {{"architecture", config.architecture},
                          {"hidden_size", config.hiddenSize},
                          {"layers", config.layers},
                          {"heads", config.heads},
                          {"kv_heads", config.kvHeads},
                          {"head_dim", config.headDim},
                          {"vocab_size", config.vocabSize},
                          {"max_positions", config.maxPositions},
                          {"eos_tokens", config.eosTokens}};
  if (config.bosToken)
    model["bos_token"] = *config.bosToken;
  if (!config.unknownFields.empty())
    model["unknown_fields"] = config.unknownFields;
  return model;
}

/// Of several templates, the one that transformers takes when nobody asks for
/// another.
std::string defaultTemplate(const JsonObject &config,
                            const nlohmann::json &list) {
  std::string names;
  for (const nlohmann::json &entry : list) {
    const JsonObject named(entry, config.file(), "chat_template");
    if (named.string("name") == "default")
      return named.string("template");
    names += (names.empty() ? "" : ", ") + quoteName(named.string("name"));
  }
  config.fail("chat_template",
              "expected a template named 'default', found " +
                  (names.empty() ? "an empty list" : names) +
                  "; put the one you want into chat_template.jinja");
}

/// A template that cannot be read is found out now, not by who chats.
void checkChatTemplate(const std::string &source, const std::string &file) {
  try {
    jinja::Template{source};
  } catch (const Error &error) {
    throw Error(file + ": " + error.what());
  }
}

std::string readChatTemplate(const ModelFolder &folder,
                             const OptionalJsonFile &tokenizerConfig) {
  if (folder.has("chat_template.jinja")) {
    const std::filesystem::path file = folder.file("chat_template.jinja");
    const std::string source = readTextFile(file, kMaxTemplateBytes);
    checkChatTemplate(source, file.string());
    return source;
  }
  const nlohmann::json *value = tokenizerConfig.find("chat_template");
  if (!value)
    return "";
  const JsonObject &config = *tokenizerConfig.get();
  const std::string source = value->is_array() ? defaultTemplate(config, *value)
                                               : config.string("chat_template");
  checkChatTemplate(source, config.file() + ": field 'chat_template'");
  return source;
}

/// A model that cannot be talked to is found out now, not by its user. Special
/// tokens may lie beyond the embedding, as Gemma 3's for images do in its text
/// models: no text has them but one that spells them.
void checkTokenizer(const TokenizerFolder &folder, const HFConfig &config) {
  const auto tokenizer = Tokenizer::fromJson(folder.json, folder.origin);
  for (int64_t id = config.vocabSize; id < tokenizer->vocabSize(); ++id)
    if (!tokenizer->isSpecial(int32_t(id)))
      throw Error(
          folder.origin + ": expected ids below config.json's vocab_size of " +
          std::to_string(config.vocabSize) + ", found " + std::to_string(id));
}

} // namespace

ModelAssets readAssets(const ModelFolder &folder, const HFConfig &config) {
  ModelAssets assets;
  assets.model = describe(config);
  assets.trained = config.trained;
  assets.chatTemplate = readChatTemplate(
      folder, OptionalJsonFile(folder, "tokenizer_config.json"));
  TokenizerFolder tokens = readTokenizerFolder(folder);
  if (!tokens.json.empty())
    checkTokenizer(tokens, config);
  assets.specialTokens = std::move(tokens.specialTokens);
  assets.tokenizer = std::move(tokens.json);
  return assets;
}

} // namespace fairy2
