// SPDX-License-Identifier: Apache-2.0
//
// Events to chunks, or to one reply at the end.
#include "runtime/serve/Answer.h"

#include "runtime/serve/ApiError.h"

namespace fairy2::serve {

void Answer::begin(Prepared prepared, ReplyHead theHead) {
  head = std::move(theHead);
  choices.resize(prepared.job->sequences.size());
  left = choices.size();
  usage.promptTokens = prepared.promptTokens;
  if (!prepared.request.stream)
    return;
  tellsUsage = prepared.request.includeUsage;
  chunks.emplace(head, tellsUsage);
  HttpReply first{200, "text/event-stream; charset=utf-8", "", fields};
  first.fields.emplace_back("Cache-Control", "no-store");
  first.fields.emplace_back("X-Accel-Buffering", "no");
  exchange->begin(std::move(first));
  if (head.isChat)
    for (size_t i = 0; i < choices.size(); ++i)
      exchange->send(chunks->role(i));
}

bool Answer::take(const Event &event) {
  if (event.failure) {
    // What went wrong is of no use to the client, and may name files.
    fail({500, "server: the model gave no answer"});
    return true;
  }
  wasSilent = false;
  takeText(event);
  if (!event.reason)
    return false;
  usage.generatedTokens += event.generatedTokens;
  choices[event.choice].reason = event.reason;
  if (chunks)
    exchange->send(chunks->end(event.choice, *event.reason));
  if (--left > 0)
    return false;
  end();
  return true;
}

void Answer::takeText(const Event &event) {
  if (event.text.empty())
    return;
  if (chunks)
    exchange->send(chunks->text(event.choice, event.text));
  else
    choices[event.choice].text += event.text;
}

void Answer::end() {
  if (!chunks)
    return exchange->reply(
        {200, "application/json", wholeReply(head, choices, usage), fields});
  if (tellsUsage)
    exchange->send(chunks->usage(usage));
  exchange->send(Chunks::done());
  exchange->end();
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
