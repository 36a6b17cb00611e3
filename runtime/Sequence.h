// SPDX-License-Identifier: Apache-2.0
//
// One generation, step by step: a prompt, the tokens drawn after it, their text
// as it becomes certain, and the reason why it ends. It computes nothing and
// knows no slot; a Scheduler brings it logits.
#pragma once

#include "runtime/Likelihood.h"
#include "runtime/Sampler.h"
#include "runtime/Session.h"
#include "runtime/StopMatcher.h"
#include "runtime/support/Npy.h"

#include <atomic>
#include <chrono>
#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

/// How many of the likeliest tokens a score may name.
inline constexpr int32_t kMostLogprobs = 20;

struct GenerationOptions {
  int64_t maxTokens = 256; ///< 0 where the prompt's scores are all
  Sampling sampling;
  std::vector<std::string> stops;
  bool ignoreEos = false; ///< go on after an end-of-text token
  /// The text goes on where the prompt's ends, with the space between, which
  /// some tokenizers drop where a text begins.
  bool continuesText = false;
  /// Where the logits of all prompt tokens go: float32 .npy [tokens, vocab].
  std::optional<std::filesystem::path> logitsOut;
  /// Receives the text as soon as it is certain. Together the pieces are the
  /// result's text.
  std::function<void(std::string_view)> onText;
  /// Scores tokens, and with each the so many likeliest in its place.
  std::optional<int32_t> logprobs;
  /// Scores those of the prompt too, all but the first. Needs logprobs.
  bool scoresPrompt = false;
  /// Receives each scored token, in order; a generated one before its text,
  /// also one that ends the text.
  std::function<void(const TokenScore &)> onScore;
  /// Polled between steps; true ends the generation with what there is.
  const std::atomic<bool> *interrupted = nullptr;
  /// Polled between steps; while true the sequence keeps what it holds and gets
  /// nothing.
  const std::atomic<bool> *paused = nullptr;
  /// Whose it is: what one owner's sequences left is not used for another's.
  std::string owner;
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
  size_t cachedTokens = 0;    ///< of the prompt, that were not computed again
};

class Sequence {
public:
  /// `prompt` has at least one token. A model without tokenizer yields no text
  /// and refuses stop strings. Throws StatusError when the prompt does not fit
  /// into the session's context or an option is out of range. Keeps no
  /// reference to the session, but one to its model.
  Sequence(const Session &session, std::vector<int32_t> prompt,
           GenerationOptions options);

  /// The prompt and what was drawn after it.
  std::span<const int32_t> tokens() const { return all; }
  size_t promptTokens() const { return promptSize; }
  bool inPrompt() const { return all.size() == promptSize && !ended; }
  const GenerationOptions &request() const { return options; }
  /// Whether addPromptLogits wants those of every prompt token.
  bool wantsPromptLogits() const { return logitsFile.has_value(); }
  bool wantsPromptScores() const { return options.scoresPrompt; }
  bool isFinished() const { return ended; }
  /// Whether the caller asked to end it.
  bool isInterrupted() const;
  bool isPaused() const;

  /// The prompt is begun; its first `cached` tokens need no computing.
  void begin(size_t cached);
  /// Logits [..][vocab] of the prompt's next tokens.
  void addPromptLogits(std::span<const float> logits);
  /// The score of tokens()[at], by the logits of the one before it. This and
  /// draw() are for different threads, of different sequences or at once.
  TokenScore scorePrompt(size_t at, std::span<const float> logits) const;
  void addPromptScore(const TokenScore &score);
  /// The token to append after `logits`, those of the last one, and its score
  /// if it is wanted.
  struct Drawn {
    int32_t id = 0;
    std::optional<TokenScore> score = {};
  };
  Drawn draw(std::span<const float> logits) const;
  /// Appends a drawn token; `isFull`: the context has no room to go on after
  /// it. May finish the sequence.
  void append(const Drawn &drawn, bool isFull);
  /// Whether nothing follows the prompt, and its end then.
  bool endsWithPrompt() const { return options.maxTokens == 0; }
  void endPrompt();
  /// Ends it with what there is.
  void interrupt();
  /// Ends it by an error, which result() throws.
  void fail(std::exception_ptr error);

  /// What was generated, once it is finished; throws when that failed.
  Generation result() const;

private:
  using Clock = std::chrono::steady_clock;
  void leavePrompt();
  std::string withoutPrompt(std::string piece);
  void show(const std::string &piece);
  void finish(FinishReason reason);

  GenerationOptions options;
  std::shared_ptr<const Model> model;
  size_t promptSize;
  std::vector<int32_t> all;
  StopMatcher matcher;
  std::optional<StreamDecoder> decoder; ///< none without a tokenizer
  std::string promptRest; ///< of its text, that the decoder still holds back
  std::optional<NpyWriter> logitsFile; ///< while the prompt is computed
  Generation generated;
  bool ended = false;
  std::exception_ptr failure;
  Clock::time_point beginning, promptEnd;
};

} // namespace fairy2
