// SPDX-License-Identifier: Apache-2.0
//
// Tokenizer, chat template and special tokens, from the files in which the
// Hugging Face libraries keep them.
#include "frontend/ReadAssets.h"

#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/Json.h"
#include "runtime/support/Words.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/jinja/Template.h"

#include <optional>

namespace fairy2 {
namespace {

constexpr int64_t kMaxTokenizerBytes = int64_t(64) << 20;
constexpr int64_t kMaxTemplateBytes = int64_t(1) << 20;
/// What a chat template may ask for by name.
constexpr const char *kTokenRoles[] = {"bos_token", "eos_token", "unk_token",
                                       "pad_token", "sep_token", "cls_token",
                                       "mask_token"};

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
  return model;
}

/// A JSON file of the folder, or nothing when it is not there. Its values are
/// an object's members.
class OptionalFile {
public:
  OptionalFile(const std::filesystem::path &directory, const char *name) {
    if (exists(directory / name)) {
      root = readJson(directory / name);
      members.emplace(root, (directory / name).string());
    }
  }
  OptionalFile(const OptionalFile &) = delete;
  OptionalFile &operator=(const OptionalFile &) = delete;

  const JsonObject *get() const { return members ? &*members : nullptr; }
  const nlohmann::json *find(const char *key) const {
    return members ? members->find(key) : nullptr;
  }

private:
  nlohmann::json root;
  std::optional<JsonObject> members;
};

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

std::string readChatTemplate(const std::filesystem::path &directory,
                             const OptionalFile &tokenizerConfig) {
  if (const auto file = directory / "chat_template.jinja"; exists(file)) {
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

/// The texts of a file's special tokens by role, such as bos_token: each is a
/// string or the object of an added token.
void addSpecialTokens(const OptionalFile &file, nlohmann::json &tokens) {
  for (const char *role : kTokenRoles) {
    const nlohmann::json *value = file.find(role);
    if (!value)
      continue;
    tokens[role] = value->is_object()
                       ? file.get()->object(role)->string("content")
                       : file.get()->string(role);
  }
}

/// As transformers: tokenizer_config.json decides, but one that was written
/// before it held the added tokens gives way to special_tokens_map.json.
nlohmann::json readSpecialTokens(const std::filesystem::path &directory,
                                 const OptionalFile &tokenizerConfig) {
  nlohmann::json tokens = nlohmann::json::object();
  addSpecialTokens(tokenizerConfig, tokens);
  if (!tokenizerConfig.find("added_tokens_decoder"))
    addSpecialTokens(OptionalFile(directory, "special_tokens_map.json"),
                     tokens);
  return tokens;
}

/// A model that cannot be talked to is found out now, not by its user. Special
/// tokens may lie beyond the embedding, as Gemma 3's for images do in its text
/// models: no text has them but one that spells them.
void checkTokenizer(const std::string &bytes, const std::string &name,
                    const HFConfig &config) {
  const auto tokenizer = name == "tokenizer.json"
                             ? Tokenizer::fromJson(bytes, name)
                             : Tokenizer::fromSentencePiece(bytes, name);
  for (int64_t id = config.vocabSize; id < tokenizer->vocabSize(); ++id)
    if (!tokenizer->isSpecial(int32_t(id)))
      throw Error(name + ": expected ids below config.json's vocab_size of " +
                  std::to_string(config.vocabSize) + ", found " +
                  std::to_string(id));
}

} // namespace

ModelAssets readAssets(const std::filesystem::path &directory,
                       const HFConfig &config) {
  ModelAssets assets;
  assets.model = describe(config);
  const OptionalFile tokenizerConfig(directory, "tokenizer_config.json");
  assets.chatTemplate = readChatTemplate(directory, tokenizerConfig);
  assets.specialTokens = readSpecialTokens(directory, tokenizerConfig);
  for (const char *name : {"tokenizer.json", "tokenizer.model"}) {
    if (!exists(directory / name))
      continue;
    assets.tokenizer = readTextFile(directory / name, kMaxTokenizerBytes);
    checkTokenizer(assets.tokenizer, name, config);
    break;
  }
  return assets;
}

} // namespace fairy2
