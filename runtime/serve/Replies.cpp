// SPDX-License-Identifier: Apache-2.0
//
// Replies are text put together; a tree of JSON for each chunk would cost more
// than all else on the I/O thread.
#include "runtime/serve/Replies.h"

#include "runtime/serve/Scores.h"

namespace fairy2::serve {
namespace {

std::string usageJson(const Usage &usage) {
  return "{\"prompt_tokens\":" + std::to_string(usage.promptTokens) +
         ",\"completion_tokens\":" + std::to_string(usage.generatedTokens) +
         ",\"total_tokens\":" +
         std::to_string(usage.promptTokens + usage.generatedTokens) +
         ",\"prompt_tokens_details\":{\"cached_tokens\":" +
         std::to_string(usage.cachedTokens) + "}}";
}

/// Up to the list of choices, whose bracket is open.
std::string beginningOf(const ReplyHead &head, const char *object) {
  return "{\"id\":" + jsonText(head.id) + ",\"object\":\"" + object +
         "\",\"created\":" + std::to_string(head.created) +
         ",\"model\":" + jsonText(head.model) +
         ",\"system_fingerprint\":" + jsonText(head.fingerprint) +
         ",\"choices\":[";
}

} // namespace

const char *finishName(FinishReason reason) {
  return reason == FinishReason::Eos || reason == FinishReason::Stop ? "stop"
                                                                     : "length";
}

std::string wholeReply(const ReplyHead &head,
                       const std::vector<Choice> &choices, const Usage &usage) {
  std::string reply =
      beginningOf(head, head.isChat ? "chat.completion" : "text_completion");
  for (size_t i = 0; i < choices.size(); ++i) {
    const Choice &choice = choices[i];
    reply.append(i ? ",{\"index\":" : "{\"index\":").append(std::to_string(i));
    const std::string text = jsonText(choice.text);
    if (head.isChat)
      reply += ",\"message\":{\"role\":\"assistant\",\"content\":" + text +
               ",\"refusal\":null}";
    else
      reply += ",\"text\":" + text;
    reply.append(",\"logprobs\":").append(choice.logprobs);
    reply.append(",\"finish_reason\":\"").append(finishName(choice.reason));
    reply += "\"}";
  }
  return reply + "],\"usage\":" + usageJson(usage) + "}";
}

Chunks::Chunks(const ReplyHead &head, bool tellsUsage)
    : isChat(head.isChat),
      beginning("data: " + beginningOf(head, isChat ? "chat.completion.chunk"
                                                    : "text_completion")),
      ending(tellsUsage ? "],\"usage\":null}\n\n" : "]}\n\n") {}

std::string Chunks::chunk(size_t choice, std::string_view content,
                          std::string_view logprobs,
                          std::string_view reason) const {
  std::string text = beginning;
  text.append("{\"index\":").append(std::to_string(choice));
  text.append(isChat ? ",\"delta\":" : ",\"text\":").append(content);
  text.append(",\"logprobs\":").append(logprobs);
  text.append(",\"finish_reason\":").append(reason);
  return text.append("}").append(ending);
}

std::string Chunks::role(size_t choice) const {
  return chunk(choice, R"({"role":"assistant","content":""})", "null", "null");
}

std::string Chunks::text(size_t choice, std::string_view piece,
                         std::string_view logprobs) const {
  const std::string text = jsonText(piece);
  return chunk(choice, isChat ? "{\"content\":" + text + "}" : text, logprobs,
               "null");
}

std::string Chunks::end(size_t choice, FinishReason reason) const {
  return chunk(choice, isChat ? "{}" : "\"\"", "null",
               jsonText(finishName(reason)));
}

std::string Chunks::usage(const Usage &usage) const {
  return beginning + "],\"usage\":" + usageJson(usage) + "}\n\n";
}

} // namespace fairy2::serve
