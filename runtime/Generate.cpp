// SPDX-License-Identifier: Apache-2.0
//
// A scheduler with one sequence, and its result for other programs.
#include "runtime/Generate.h"

#include "runtime/Scheduler.h"

#include <nlohmann/json.hpp>

namespace fairy2 {

Generation generate(Session &session, std::span<const int32_t> prompt,
                    const GenerationOptions &options) {
  const auto sequence = std::make_shared<Sequence>(
      session, std::vector<int32_t>(prompt.begin(), prompt.end()), options);
  Scheduler scheduler(session, {0});
  scheduler.add(sequence);
  while (scheduler.step())
    ;
  return sequence->result();
}

std::string jsonOf(const Generation &result, std::span<const int32_t> prompt,
                   const Model &model) {
  nlohmann::ordered_json out;
  out["text"] = nullptr;
  if (model.hasTokenizer())
    out["text"] = result.text;
  out["ids"] = result.ids;
  out["prompt_ids"] = prompt;
  out["prompt_tok_s"] = result.promptTokensPerSecond;
  out["gen_tok_s"] = result.tokensPerSecond;
  out["finish_reason"] = nameOf(result.reason);
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace fairy2
