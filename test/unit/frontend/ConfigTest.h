// SPDX-License-Identifier: Apache-2.0
//
// A good config.json that tests patch, and the table form of bad ones.
#pragma once

#include "frontend/HFConfig.h"
#include "test/unit/frontend/TestFiles.h"

#include <nlohmann/json.hpp>

namespace fairy2 {

inline constexpr char kGoodConfig[] = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama",
  "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 5,
  "num_attention_heads": 8, "vocab_size": 512, "torch_dtype": "float16",
  "attention_dropout": 0.0, "initializer_range": 0.02, "use_cache": true,
  "pad_token_id": -1, "transformers_version": "4.45.0"})";

inline std::string allArchitectures() {
  std::string names;
  for (const std::string &name : HFConfig::knownArchitectures())
    names += (names.empty() ? "" : ", ") + name;
  return names;
}

class ConfigTest : public testing::Test {
protected:
  /// Writes the good config with the members of `patch` set, and reads it.
  HFConfig readWith(const std::string &patch) const {
    nlohmann::json config = nlohmann::json::parse(kGoodConfig);
    config.update(nlohmann::json::parse(patch));
    folder.write("config.json", config.dump());
    return HFConfig::read(folder.path());
  }
  std::string errorWith(const std::string &patch) const {
    return folder.errorOf([&] { readWith(patch); });
  }
  std::string errorOfText(const std::string &text) const {
    folder.write("config.json", text);
    return folder.errorOf([&] { HFConfig::read(folder.path()); });
  }
  const TemporaryFolder folder;
};

struct BadConfig {
  const char *name;
  std::string patch;
  std::string error;
};
inline std::ostream &operator<<(std::ostream &stream, const BadConfig &bad) {
  return stream << bad.name;
}

class BadConfigTest : public ConfigTest,
                      public testing::WithParamInterface<BadConfig> {};

/// A field of another model, with a value that is refused by itself.
inline BadConfig foreign(const char *name, const char *field, const char *value,
                         const char *error) {
  return {name, R"({")" + std::string(field) + R"(": )" + value + "}",
          std::string(field) + "': " + error};
}

inline const std::string kPositive = "expected a number greater than 0, found ";

} // namespace fairy2
