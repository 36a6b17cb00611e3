// SPDX-License-Identifier: Apache-2.0
//
// The request of /v1/chat/completions: messages for the model's own template.
#pragma once

#include "runtime/serve/GenerationRequest.h"

#include <string_view>

namespace fairy2::serve {

struct ChatRequest : GenerationRequest {
  nlohmann::ordered_json messages; ///< {"role", "content"} objects
  /// chat_template_kwargs.
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
};

/// Throws ApiError.
ChatRequest parseChat(std::string_view body, const RequestBounds &bounds);

} // namespace fairy2::serve
