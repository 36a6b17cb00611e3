// SPDX-License-Identifier: Apache-2.0
//
// What a run's result depends on: recipe, program, model, tokenizer and data,
// each by its content, so that folders may move.
#pragma once

#include "trainer/run/Recipe.h"

#include <filesystem>
#include <string>

namespace fairy2::trainer {

struct RunIdentity {
  /// By the recipe's key, or by what a file is for.
  nlohmann::ordered_json parts;
  std::string fingerprint;       ///< SHA-256 of the parts, in hexadecimal
  nlohmann::ordered_json hashes; ///< of files that were read, to keep
};

/// The identity of a run of that many processes. Keys that do not change the
/// latents (where to write, how often to save and to validate, how a step's
/// sequences and the weights are divided, the export) do not count. `cache`,
/// when it is there, has the hashes of an earlier call, which serve for files
/// that have not changed. Throws Error when a file cannot be read.
RunIdentity identityOf(const Recipe &recipe, int processes,
                       const std::filesystem::path &cache = {});

/// In words, which parts differ: "train.clip was 1.0 and is 0.5".
std::string differences(const nlohmann::json &before,
                        const nlohmann::json &now);

} // namespace fairy2::trainer
