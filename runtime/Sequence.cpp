// SPDX-License-Identifier: Apache-2.0
//
// What happens to a generation between two forward passes.
#include "runtime/Sequence.h"

#include "runtime/Status.h"

#include <algorithm>
#include <utility>

namespace fairy2 {
namespace {

/// What the ids' text holds back until more of it comes.
std::string pendingText(const Tokenizer &tokenizer,
                        std::span<const int32_t> ids) {
  StreamDecoder decoder(tokenizer);
  for (const int32_t id : ids)
    decoder.next(id);
  return decoder.finish();
}

double perSecond(size_t tokens, std::chrono::steady_clock::duration time) {
  const double seconds = std::chrono::duration<double>(time).count();
  return seconds > 0 ? double(tokens) / seconds : 0;
}

void checkOptions(const Session &session, std::span<const int32_t> prompt,
                  const GenerationOptions &options) {
  checkSampling(options.sampling);
  const int64_t least = options.scoresPrompt ? 0 : 1;
  if (options.maxTokens < least)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "number of tokens: expected at least " +
                          std::to_string(least) + ", found " +
                          std::to_string(options.maxTokens));
  const int32_t best = options.logprobs.value_or(0);
  if (best < 0 || best > kMostLogprobs)
    throw StatusError(FAIRY2_BAD_ARGUMENT, "logprobs: expected 0 to " +
                                               std::to_string(kMostLogprobs) +
                                               ", found " +
                                               std::to_string(best));
  if (!options.stops.empty() && !session.model().hasTokenizer())
    throw StatusError(FAIRY2_NO_TOKENIZER,
                      session.model().path() +
                          ": tokenizer: expected one to find stop strings, "
                          "found a model that was compiled without");
  if (prompt.empty())
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "prompt: expected at least one token, found none");
  if (prompt.size() > size_t(session.context()))
    throw StatusError(
        FAIRY2_OUT_OF_CONTEXT,
        "prompt: expected at most " + std::to_string(session.context()) +
            " tokens, the context, found " + std::to_string(prompt.size()));
  session.checkTokens(prompt);
}

} // namespace

const char *nameOf(FinishReason reason) {
  switch (reason) {
  case FinishReason::Eos:
    return "eos";
  case FinishReason::Stop:
    return "stop";
  case FinishReason::Length:
    return "length";
  case FinishReason::Context:
    return "context";
  case FinishReason::Interrupted:
    return "interrupted";
  }
  return "";
}

Sequence::Sequence(const Session &session, std::vector<int32_t> prompt,
                   GenerationOptions theOptions)
    : options(std::move(theOptions)), model(session.sharedModel()),
      promptSize(prompt.size()), all(std::move(prompt)),
      matcher(options.stops) {
  checkOptions(session, all, options);
  if (model->hasTokenizer())
    decoder.emplace(model->tokenizer());
  if (decoder && options.continuesText) {
    for (const int32_t id : all)
      decoder->next(id);
    promptRest = pendingText(model->tokenizer(), all);
  }
  if (options.logitsOut)
    logitsFile.emplace(*options.logitsOut, int64_t(promptSize),
                       session.vocabSize());
}

bool Sequence::isInterrupted() const {
  return options.interrupted && options.interrupted->load();
}

bool Sequence::isPaused() const {
  return options.paused && options.paused->load();
}

void Sequence::begin(size_t cached) {
  generated.cachedTokens = cached;
  beginning = Clock::now();
}

void Sequence::addPromptLogits(std::span<const float> logits) {
  logitsFile->append(logits);
}

TokenScore Sequence::scorePrompt(size_t at,
                                 std::span<const float> logits) const {
  checkLogits(logits);
  return scoreOf(logits, all[at], size_t(options.logprobs.value_or(0)));
}

void Sequence::addPromptScore(const TokenScore &score) {
  if (options.onScore)
    options.onScore(score);
}

Sequence::Drawn Sequence::draw(std::span<const float> logits) const {
  Drawn drawn{
      sampleToken(options.sampling, logits, all, all.size() - promptSize)};
  if (options.logprobs)
    drawn.score = scoreOf(logits, drawn.id, size_t(*options.logprobs));
  return drawn;
}

void Sequence::leavePrompt() {
  promptEnd = Clock::now();
  generated.promptTokensPerSecond =
      perSecond(promptSize - generated.cachedTokens, promptEnd - beginning);
  if (logitsFile)
    logitsFile->commit();
  logitsFile.reset();
}

void Sequence::endPrompt() {
  leavePrompt();
  finish(FinishReason::Length);
}

void Sequence::append(const Drawn &drawn, bool isFull) {
  if (inPrompt())
    leavePrompt();
  const int32_t id = drawn.id;
  all.push_back(id);
  generated.ids.push_back(id);
  if (drawn.score && options.onScore)
    options.onScore(*drawn.score);
  const std::vector<int32_t> &eos = model->manifest().eosTokens;
  const bool isEnd = !options.ignoreEos && std::ranges::count(eos, id) > 0;
  if (!isEnd && decoder)
    show(matcher.next(withoutPrompt(decoder->next(id))));
  if (isEnd)
    finish(FinishReason::Eos);
  else if (matcher.stopped())
    finish(FinishReason::Stop);
  else if (int64_t(generated.ids.size()) == options.maxTokens)
    finish(FinishReason::Length);
  else if (isFull)
    finish(FinishReason::Context);
}

/// A character that the prompt began is whole in the text that goes on.
std::string Sequence::withoutPrompt(std::string piece) {
  if (piece.empty())
    return piece;
  if (piece.starts_with(promptRest))
    piece.erase(0, promptRest.size());
  promptRest.clear();
  return piece;
}

void Sequence::show(const std::string &piece) {
  if (piece.empty())
    return;
  generated.text += piece;
  if (options.onText)
    options.onText(piece);
}

void Sequence::interrupt() { finish(FinishReason::Interrupted); }

void Sequence::finish(FinishReason reason) {
  ended = true;
  generated.reason = reason;
  if (!generated.ids.empty())
    generated.tokensPerSecond =
        perSecond(generated.ids.size() - 1, Clock::now() - promptEnd);
  if (decoder)
    show(matcher.next(withoutPrompt(decoder->finish())));
  show(matcher.finish());
  // The end of the text may complete a stop string that was held back.
  if (matcher.stopped())
    generated.reason = FinishReason::Stop;
}

void Sequence::fail(std::exception_ptr error) {
  ended = true;
  failure = std::move(error);
  logitsFile.reset();
}

Generation Sequence::result() const {
  if (failure)
    std::rethrow_exception(failure);
  return generated;
}

} // namespace fairy2
