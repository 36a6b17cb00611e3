// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer: a body, read as a request of both routes. Whatever it is, it is
// refused with 400 and a reply of valid UTF-8, or every value is in its range.
#include "runtime/serve/ChatRequest.h"
#include "runtime/serve/CompletionsRequest.h"
#include "runtime/support/Utf8.h"
#include "test/fuzz/Fuzzer.h"

#include <cmath>

using namespace fairy2;
using namespace fairy2::fuzz;
using namespace fairy2::serve;

namespace {

constexpr RequestBounds kBounds = {100};

void checkGeneration(const GenerationRequest &request, int64_t least) {
  const Sampling &sampling = request.options.sampling;
  REQUIRE(request.n >= 1 && request.n <= kMostSequences);
  REQUIRE(!request.maxTokens || *request.maxTokens >= least);
  REQUIRE(!request.logprobs ||
          (*request.logprobs >= 0 && *request.logprobs <= kMostLogprobs));
  REQUIRE(sampling.temperature >= 0 && sampling.temperature <= 2);
  REQUIRE(sampling.topP > 0 && sampling.topP <= 1);
  REQUIRE(sampling.minP >= 0 && sampling.minP <= 1 && sampling.topK >= 0);
  REQUIRE(sampling.repetitionPenalty > 0);
  REQUIRE(std::abs(sampling.presencePenalty) <= 2);
  REQUIRE(std::abs(sampling.frequencyPenalty) <= 2);
  for (const auto &[id, bias] : sampling.logitBias)
    REQUIRE(id >= 0 && id < kBounds.vocabSize && std::abs(bias) <= 100);
  REQUIRE(request.options.stops.size() <= kMostStops);
  for (const std::string &stop : request.options.stops)
    REQUIRE(!stop.empty() && isValidUtf8(stop));
}

template <typename Parse> void parse(const Parse &body) {
  try {
    body();
  } catch (const ApiError &error) {
    REQUIRE(error.status == 400);
    REQUIRE(isValidUtf8(errorJson(error)));
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view body = textOf(data, size);
  parse([&] {
    const CompletionsRequest request = parseCompletions(body, kBounds);
    checkGeneration(request, request.echo ? 0 : 1);
    REQUIRE(!request.prompts.empty());
    REQUIRE(int64_t(request.prompts.size()) * request.n <= kMostSequences);
    for (const Prompt &prompt : request.prompts)
      if (const auto *ids = std::get_if<std::vector<int32_t>>(&prompt)) {
        REQUIRE(!ids->empty());
        for (const int32_t id : *ids)
          REQUIRE(id >= 0 && id < kBounds.vocabSize);
      }
  });
  parse([&] {
    const ChatRequest request = parseChat(body, kBounds);
    checkGeneration(request, 1);
    REQUIRE(!request.messages.empty());
    for (const auto &message : request.messages)
      REQUIRE(message.at("role").is_string() &&
              message.at("content").is_string());
    for (const auto &value : request.variables)
      REQUIRE(!value.is_structured());
  });
  return 0;
}
