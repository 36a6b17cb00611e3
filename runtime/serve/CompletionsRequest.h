// SPDX-License-Identifier: Apache-2.0
//
// The request of /v1/completions: texts or token ids to continue or to score.
#pragma once

#include "runtime/serve/GenerationRequest.h"

#include <string_view>
#include <variant>
#include <vector>

namespace fairy2::serve {

using Prompt = std::variant<std::string, std::vector<int32_t>>;

struct CompletionsRequest : GenerationRequest {
  std::vector<Prompt> prompts;
  bool echo = false;
  bool addSpecialTokens = true; ///< to texts
};

/// Throws ApiError.
CompletionsRequest parseCompletions(std::string_view body,
                                    const RequestBounds &bounds);

/// The token ids of a list. Throws ApiError naming the place of what is none.
std::vector<int32_t> readIds(const nlohmann::json &list,
                             const std::string &path, int32_t vocabSize);

} // namespace fairy2::serve
