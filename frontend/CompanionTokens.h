// SPDX-License-Identifier: Apache-2.0
//
// Tokens that lie in the small files beside a tokenizer: tokenizer_config.json,
// special_tokens_map.json and added_tokens.json.
#pragma once

#include "frontend/ModelFolder.h"
#include "runtime/support/Json.h"

#include <optional>
#include <string>

namespace fairy2 {

/// A JSON file of a folder, or nothing when it is not there. Its values are an
/// object's members.
class OptionalJsonFile {
public:
  OptionalJsonFile(const ModelFolder &folder, const char *name);
  OptionalJsonFile(const OptionalJsonFile &) = delete;
  OptionalJsonFile &operator=(const OptionalJsonFile &) = delete;

  const JsonObject *get() const { return members ? &*members : nullptr; }
  const nlohmann::json *find(const char *key) const {
    return members ? members->find(key) : nullptr;
  }

private:
  nlohmann::json root;
  std::optional<JsonObject> members;
};

struct CompanionFiles {
  /// Throws Error when a file is there and broken.
  explicit CompanionFiles(const ModelFolder &folder);

  /// The texts of special tokens by role, such as bos_token.
  nlohmann::json specialTokens() const;
  /// Whether a file has a field of this name, be it null.
  bool names(const char *role) const;

  const OptionalJsonFile config;
  /// As in transformers both are read for a tokenizer_config.json alone that
  /// was written before it held the added tokens.
  std::optional<OptionalJsonFile> map, added;
};

/// Puts the tokens that `files` name and the tokenizer `json` lacks, or has
/// with other flags, into its "companion_tokens". `specialTokens` are the texts
/// by role, `origin` names the tokenizer's file. Tokens of added_tokens.json
/// match normalized text with `normalized`, else the text as it is. Throws
/// Error.
void addCompanionTokens(const CompanionFiles &files,
                        const nlohmann::json &specialTokens, bool normalized,
                        const std::string &origin, std::string &json);

} // namespace fairy2
