// SPDX-License-Identifier: Apache-2.0
//
// What the requests of /v1/completions and /v1/chat/completions share. Every
// field of OpenAI's is implemented, ignored because it changes no reply, or
// refused by its name; openapi.json has the table.
#pragma once

#include "runtime/Sequence.h"
#include "runtime/serve/JsonFields.h"

#include <cstdint>
#include <optional>
#include <string>

namespace fairy2::serve {

inline constexpr int64_t kMostSequences = 128; ///< prompts times n
inline constexpr int64_t kMostPrompts = 64;
inline constexpr size_t kMostStops = 64;
inline constexpr int64_t kMostTokens = INT32_MAX;

/// What a request may ask of the model that is served.
struct RequestBounds {
  int32_t vocabSize = 0;
};

struct GenerationRequest {
  std::optional<std::string> model;
  std::optional<int64_t> maxTokens;
  GenerationOptions options; ///< all but maxTokens
  int64_t n = 1;
  bool stream = false, includeUsage = false;
  /// How many of the likeliest tokens are told beside each; absent: none, and
  /// not that one's either.
  std::optional<int64_t> logprobs;
};

/// Fills all but maxTokens and logprobs, which the routes name differently.
/// Without a seed it is drawn anew for each request. Throws ApiError.
void readGeneration(const JsonFields &fields, const RequestBounds &bounds,
                    GenerationRequest &request);

} // namespace fairy2::serve
