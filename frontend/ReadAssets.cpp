// SPDX-License-Identifier: Apache-2.0
#include "frontend/ReadAssets.h"

#include "frontend/Json.h"
#include "runtime/Tokenizer.h"

#include "dialect/Error.h"

namespace fairy2 {
namespace {

constexpr int64_t kMaxTokenizerBytes = int64_t(64) << 20;
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
  return model;
}

std::string readChatTemplate(const std::filesystem::path &directory) {
  if (exists(directory / "chat_template.jinja"))
    return readTextFile(directory / "chat_template.jinja", kMaxTemplateBytes);
  if (!exists(directory / "tokenizer_config.json"))
    return "";
  const nlohmann::json config = readJson(directory / "tokenizer_config.json");
  const auto found = config.is_object() ? config.find("chat_template")
                                        : config.end();
  return found != config.end() && found->is_string()
             ? found->get<std::string>()
             : "";
}

} // namespace

ModelAssets readAssets(const std::filesystem::path &directory,
                       const HFConfig &config) {
  ModelAssets assets;
  assets.model = describe(config);
  assets.chatTemplate = readChatTemplate(directory);
  if (exists(directory / "tokenizer.json")) {
    assets.tokenizer =
        readTextFile(directory / "tokenizer.json", kMaxTokenizerBytes);
    // A model that cannot be talked to is found out now, not by its user.
    const auto tokenizer =
        Tokenizer::fromJson(assets.tokenizer, "tokenizer.json");
    if (tokenizer->vocabSize() > config.vocabSize)
      throw Error("tokenizer.json: expected ids below config.json's vocab_size "
                  "of " +
                  std::to_string(config.vocabSize) + ", found " +
                  std::to_string(tokenizer->vocabSize() - 1));
  }
  return assets;
}

} // namespace fairy2
