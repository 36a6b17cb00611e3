// SPDX-License-Identifier: Apache-2.0
//
// Continues a prompt token by token: sampling, end-of-text tokens, stop
// strings, streaming. The logic of fairy2-run.
#pragma once

#include "runtime/Sampler.h"
#include "runtime/Session.h"

#include <atomic>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

struct GenerationOptions {
  int64_t maxTokens = 256;
  Sampling sampling;
  std::vector<std::string> stops;
  bool ignoreEos = false; ///< go on after an end-of-text token
  /// How many of the prompt's tokens, from its start, the slot already holds;
  /// they are not computed again. The last one always is, for its logits.
  int32_t cachedTokens = 0;
  /// Where the logits of all prompt tokens go: float32 .npy [tokens, vocab].
  std::optional<std::filesystem::path> logitsOut;
  /// Receives the text as soon as it is certain. Together the pieces are the
  /// result's text.
  std::function<void(std::string_view)> onText;
  /// Polled between steps; true ends the generation with what there is.
  const std::atomic<bool> *interrupted = nullptr;
};

enum class FinishReason {
  Eos,        ///< the model ended its text
  Stop,       ///< a stop string appeared
  Length,     ///< maxTokens were generated
  Context,    ///< the context is full
  Interrupted ///< the caller asked to stop
};
/// "eos", "stop", "length", "context", "interrupted".
const char *nameOf(FinishReason reason);

struct Generation {
  std::vector<int32_t> ids; ///< new tokens, a final end-of-text token included
  std::string text; ///< without stop string, end of text, special tokens
  FinishReason reason = FinishReason::Length;
  double promptTokensPerSecond = 0; ///< of those that were not cached
  double tokensPerSecond = 0; ///< of the steps after the prompt; 0: none ran
};

/// Continues `prompt` (at least one id) in slot 0 of the session. A model
/// without tokenizer yields no text and refuses stop strings. Throws
/// StatusError when the prompt does not fit or an option is out of range.
Generation generate(Session &session, std::span<const int32_t> prompt,
                    const GenerationOptions &options);

/// One JSON object: text (null without a tokenizer), ids, prompt_ids,
/// prompt_tok_s, gen_tok_s, finish_reason.
std::string jsonOf(const Generation &result, std::span<const int32_t> prompt,
                   const Model &model);

} // namespace fairy2
