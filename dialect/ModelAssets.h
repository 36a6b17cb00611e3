// SPDX-License-Identifier: Apache-2.0
//
// What an artefact carries beside the model's computation: the frontend fills
// it in, codegen writes it down. Plain C++.
#pragma once

#include "dialect/phase/TrainedScheme.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace fairy2 {

struct ModelAssets {
  nlohmann::json model;     ///< manifest field "model" (runtime/README.md)
  std::string tokenizer;    ///< as TokenizerFolder has it; empty: none
  std::string chatTemplate; ///< empty: none
  /// Texts by role, such as {"bos_token": "<s>"}.
  nlohmann::json specialTokens = nlohmann::json::object();
  std::optional<TrainedScheme> trained; ///< if the checkpoint says so
};

} // namespace fairy2
