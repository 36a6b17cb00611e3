// SPDX-License-Identifier: Apache-2.0
//
// Events to chunks, or to one reply at the end.
#include "runtime/serve/Answer.h"

#include <utility>

namespace fairy2::serve {

void Answer::begin(Prepared given, ReplyHead theHead) {
  prepared = std::move(given);
  head = std::move(theHead);
  texts.resize(prepared.job->sequences.size());
  left = texts.size();
  usage.promptTokens = prepared.promptTokens;
  const GenerationRequest &request = prepared.request;
  for (size_t i = 0; i < texts.size(); ++i) {
    Text &text = texts[i];
    text.showsPrompt = !prepared.echoes.empty();
    if (!request.logprobs)
      continue;
    text.offsets.emplace(
        *prepared.tokenizer,
        Offsets::Options{true, head.isChat,
                         text.showsPrompt ? codePoints(echoOf(i).text) : 0});
    // Nothing comes before a prompt's first token, unless it is unseen.
    if (text.showsPrompt && echoOf(i).hidden == 0)
      text.arrays.add(*prepared.tokenizer, echoOf(i).ids.front(), nullptr, 0);
  }
  if (!request.stream)
    return;
  tellsUsage = request.includeUsage;
  chunks.emplace(head, tellsUsage);
  HttpReply first{200, "text/event-stream; charset=utf-8", "", fields};
  first.fields.emplace_back("Cache-Control", "no-store");
  first.fields.emplace_back("X-Accel-Buffering", "no");
  exchange->begin(std::move(first));
  if (head.isChat)
    for (size_t i = 0; i < texts.size(); ++i)
      exchange->send(chunks->role(i));
}

const EchoedPrompt &Answer::echoOf(size_t index) const {
  return prepared.echoes[index / size_t(prepared.request.n)];
}

bool Answer::take(const Event &event) {
  if (event.failure) {
    // What went wrong is of no use to the client, and may name files.
    fail({500, "server: the model gave no answer"});
    return true;
  }
  wasSilent = false;
  Text &text = texts[event.choice];
  takeScores(text, event.choice, event);
  const bool isInPrompt =
      prepared.request.options.scoresPrompt && !event.reason &&
      text.scores + 1 < prepared.job->sequences[event.choice]->promptTokens();
  if (text.showsPrompt && !isInPrompt)
    showPrompt(text, event.choice);
  if (!isInPrompt)
    show(text, event.choice, event.text);
  if (!event.reason)
    return false;
  usage.generatedTokens += event.generatedTokens;
  // The others of a prompt find what its first has computed.
  if (event.choice % size_t(prepared.request.n) == 0)
    usage.cachedTokens += event.cachedTokens;
  text.choice.reason = *event.reason;
  if (chunks)
    exchange->send(chunks->end(event.choice, *event.reason));
  if (--left > 0)
    return false;
  end();
  return true;
}

void Answer::takeScores(Text &text, size_t index, const Event &event) {
  const bool isPromptScored = prepared.request.options.scoresPrompt;
  for (const TokenScore &score : event.scores) {
    const size_t place = ++text.scores; // of the prompt's first there is none
    const int32_t id = score.token.id;
    if (!text.offsets) // nobody asked
      continue;
    if (isPromptScored && place < echoOf(index).ids.size())
      text.arrays.add(*prepared.tokenizer, id, &score,
                      echoOf(index).offsets[place]);
    else if (head.isChat)
      text.list.add(*prepared.tokenizer, score, text.offsets->next(id));
    else
      text.arrays.add(*prepared.tokenizer, id, &score, text.offsets->next(id));
  }
}

void Answer::showPrompt(Text &text, size_t index) {
  text.showsPrompt = false;
  if (!chunks) {
    text.choice.text = echoOf(index).text;
    return;
  }
  exchange->send(
      chunks->text(index, echoOf(index).text,
                   text.arrays.isEmpty() ? "null" : text.arrays.take()));
}

void Answer::show(Text &text, size_t index, const std::string &piece) {
  text.codePoints += codePoints(piece);
  if (!chunks) {
    text.choice.text += piece;
    return;
  }
  std::string logprobs = "null";
  if (head.isChat && text.offsets)
    logprobs = text.list.take(text.codePoints);
  else if (!text.arrays.isEmpty())
    logprobs = text.arrays.take();
  else if (piece.empty())
    return;
  if (!piece.empty() || !head.isChat)
    exchange->send(chunks->text(index, piece, logprobs));
}

void Answer::end() {
  if (chunks) {
    if (tellsUsage)
      exchange->send(chunks->usage(usage));
    exchange->send(Chunks::done());
    return exchange->end();
  }
  std::vector<Choice> choices;
  for (Text &text : texts) {
    if (text.offsets)
      text.choice.logprobs =
          head.isChat ? text.list.take(text.codePoints) : text.arrays.take();
    choices.push_back(std::move(text.choice));
  }
  later([head = head, choices = std::move(choices), usage = usage] {
    return wholeReply(head, choices, usage);
  });
}

void Answer::fail(const ApiError &error) {
  cancel();
  if (!chunks) {
    HttpReply reply = errorReply(error);
    reply.fields.insert(reply.fields.end(), fields.begin(), fields.end());
    return exchange->reply(std::move(reply));
  }
  exchange->send(Chunks::error(errorJson(error)));
  exchange->end();
}

void Answer::beat() {
  if (chunks && wasSilent)
    exchange->send(Chunks::heartbeat());
  wasSilent = true;
}

} // namespace fairy2::serve
