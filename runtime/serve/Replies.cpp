// SPDX-License-Identifier: Apache-2.0
//
// Replies are text put together; a tree of JSON for each chunk would cost more
// than all else on the I/O thread.
#include "runtime/serve/Replies.h"

#include <nlohmann/json.hpp>

namespace fairy2::serve {
namespace {

using nlohmann::ordered_json;

std::string dumped(const ordered_json &json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json usageJson(const Usage &usage) {
  return {{"prompt_tokens", usage.promptTokens},
          {"completion_tokens", usage.generatedTokens},
          {"total_tokens", usage.promptTokens + usage.generatedTokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cachedTokens}}}};
}

ordered_json headJson(const ReplyHead &head, const char *object) {
  return {{"id", head.id},
          {"object", object},
          {"created", head.created},
          {"model", head.model},
          {"system_fingerprint", head.fingerprint}};
}

} // namespace

const char *finishName(FinishReason reason) {
  return reason == FinishReason::Eos || reason == FinishReason::Stop ? "stop"
                                                                     : "length";
}

std::string quoted(std::string_view text) { return dumped(ordered_json(text)); }

std::string wholeReply(const ReplyHead &head,
                       const std::vector<Choice> &choices, const Usage &usage) {
  ordered_json reply =
      headJson(head, head.isChat ? "chat.completion" : "text_completion");
  ordered_json &list = reply["choices"] = ordered_json::array();
  for (const Choice &choice : choices) {
    ordered_json one = {{"index", list.size()}};
    if (head.isChat)
      one["message"] = {{"role", "assistant"},
                        {"content", choice.text},
                        {"refusal", nullptr}};
    else
      one["text"] = choice.text;
    one["logprobs"] = nullptr;
    one["finish_reason"] = choice.reason ? finishName(*choice.reason) : nullptr;
    list.push_back(std::move(one));
  }
  reply["usage"] = usageJson(usage);
  return dumped(reply);
}

Chunks::Chunks(const ReplyHead &head, bool tellsUsage) : isChat(head.isChat) {
  beginning = dumped(
      headJson(head, isChat ? "chat.completion.chunk" : "text_completion"));
  beginning.pop_back(); // the object goes on
  beginning = "data: " + beginning + ",\"choices\":[";
  ending = tellsUsage ? "],\"usage\":null}\n\n" : "]}\n\n";
}

std::string Chunks::chunk(size_t choice, std::string_view content,
                          std::string_view reason) const {
  std::string text = beginning;
  text.append("{\"index\":").append(std::to_string(choice));
  text.append(isChat ? ",\"delta\":" : ",\"text\":").append(content);
  text.append(",\"logprobs\":null,\"finish_reason\":").append(reason);
  return text.append("}").append(ending);
}

std::string Chunks::role(size_t choice) const {
  return chunk(choice, R"({"role":"assistant","content":""})", "null");
}

std::string Chunks::text(size_t choice, std::string_view piece) const {
  const std::string text = quoted(piece);
  return chunk(choice, isChat ? "{\"content\":" + text + "}" : text, "null");
}

std::string Chunks::end(size_t choice, FinishReason reason) const {
  return chunk(choice, isChat ? "{}" : "\"\"", quoted(finishName(reason)));
}

std::string Chunks::usage(const Usage &usage) const {
  return beginning + "],\"usage\":" + dumped(usageJson(usage)) + "}\n\n";
}

} // namespace fairy2::serve
