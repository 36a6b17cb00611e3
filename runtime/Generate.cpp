// SPDX-License-Identifier: Apache-2.0
//
// The generation loop: prompt in batches, then one token after the other.
#include "runtime/Generate.h"

#include "runtime/Status.h"
#include "runtime/StopMatcher.h"
#include "runtime/measure/Npy.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>

namespace fairy2 {
namespace {

using Clock = std::chrono::steady_clock;

double perSecond(size_t tokens, Clock::duration time) {
  const double seconds = std::chrono::duration<double>(time).count();
  return seconds > 0 ? double(tokens) / seconds : 0;
}

void checkOptions(const Session &session, std::span<const int32_t> prompt,
                  const GenerationOptions &options) {
  checkSampling(options.sampling);
  if (options.maxTokens < 1)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "number of tokens: expected at least 1, found " +
                          std::to_string(options.maxTokens));
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
  const auto most = std::min(session.length(0), int32_t(prompt.size()) - 1);
  if (options.cachedTokens < 0 || options.cachedTokens > most)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "cached tokens: expected 0 to " + std::to_string(most) +
                          ", found " + std::to_string(options.cachedTokens));
  if (options.logitsOut && options.cachedTokens > 0)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "logits file: expected a prompt without cached tokens, "
                      "found " +
                          std::to_string(options.cachedTokens));
}

/// Turns ids into shown text. Without a tokenizer there is none.
class TextStream {
public:
  TextStream(const Model &model, const GenerationOptions &options)
      : options(options), matcher(options.stops) {
    if (model.hasTokenizer())
      decoder.emplace(model.tokenizer());
  }

  void next(int32_t id) {
    if (decoder)
      show(matcher.next(decoder->next(id)));
  }
  void finish() {
    if (decoder)
      show(matcher.next(decoder->finish()));
    show(matcher.finish());
  }
  bool stopped() const { return matcher.stopped(); }
  std::string text;

private:
  void show(const std::string &piece) {
    if (piece.empty())
      return;
    text += piece;
    if (options.onText)
      options.onText(piece);
  }

  const GenerationOptions &options;
  StopMatcher matcher;
  std::optional<StreamDecoder> decoder;
};

bool isInterrupted(const GenerationOptions &options) {
  return options.interrupted && options.interrupted->load();
}

/// Feeds the prompt; leaves the last token's logits in `logits`. Returns false
/// when interrupted.
bool feedPrompt(Session &session, std::span<const int32_t> prompt,
                const GenerationOptions &options, std::vector<float> &logits) {
  const auto batch = size_t(session.model().manifest().batch);
  const auto vocab = size_t(session.vocabSize());
  std::optional<NpyWriter> file;
  std::vector<float> all;
  if (options.logitsOut) {
    file.emplace(*options.logitsOut, int64_t(prompt.size()), int64_t(vocab));
    all.resize(std::min(batch, prompt.size()) * vocab);
  }
  for (size_t begin = 0; begin < prompt.size(); begin += batch) {
    if (isInterrupted(options))
      return false;
    const auto part =
        prompt.subspan(begin, std::min(batch, prompt.size() - begin));
    const bool isLast = begin + part.size() == prompt.size();
    if (!file) {
      session.eval(0, part,
                   isLast ? Session::Logits::Last : Session::Logits::None,
                   logits.data());
      continue;
    }
    session.eval(0, part, Session::Logits::All, all.data());
    file->append(std::span(all).first(part.size() * vocab));
    const auto lastRow = all.begin() + int64_t((part.size() - 1) * vocab);
    std::copy_n(lastRow, vocab, logits.begin());
  }
  if (file)
    file->commit();
  return true;
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

Generation generate(Session &session, std::span<const int32_t> prompt,
                    const GenerationOptions &options) {
  checkOptions(session, prompt, options);
  const std::vector<int32_t> &eos = session.model().manifest().eosTokens;
  Generation result;
  TextStream stream(session.model(), options);
  std::vector<float> logits(size_t(session.vocabSize()));
  std::vector<int32_t> history(prompt.begin(), prompt.end());
  session.reset(0, options.cachedTokens);

  const Clock::time_point start = Clock::now();
  const bool complete = feedPrompt(
      session, prompt.subspan(size_t(options.cachedTokens)), options, logits);
  const Clock::time_point promptEnd = Clock::now();
  result.promptTokensPerSecond = perSecond(
      size_t(session.length(0) - options.cachedTokens), promptEnd - start);
  if (!complete) {
    result.reason = FinishReason::Interrupted;
    return result;
  }
  size_t steps = 0;
  while (true) {
    const int32_t id = sampleToken(options.sampling, logits, history,
                                   uint64_t(result.ids.size()));
    result.ids.push_back(id);
    history.push_back(id);
    const bool ends = !options.ignoreEos &&
                      std::find(eos.begin(), eos.end(), id) != eos.end();
    if (!ends)
      stream.next(id);
    if (ends)
      result.reason = FinishReason::Eos;
    else if (stream.stopped())
      result.reason = FinishReason::Stop;
    else if (int64_t(result.ids.size()) == options.maxTokens)
      result.reason = FinishReason::Length;
    else if (session.length(0) == session.context())
      result.reason = FinishReason::Context;
    else if (isInterrupted(options))
      result.reason = FinishReason::Interrupted;
    else {
      session.eval(0, std::span(&id, 1), Session::Logits::Last, logits.data());
      ++steps;
      continue;
    }
    break;
  }
  result.tokensPerSecond = perSecond(steps, Clock::now() - promptEnd);
  stream.finish();
  // The end of the text may complete a stop string that was held back.
  if (stream.stopped())
    result.reason = FinishReason::Stop;
  result.text = std::move(stream.text);
  return result;
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
