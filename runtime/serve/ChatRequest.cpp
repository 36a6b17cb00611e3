// SPDX-License-Identifier: Apache-2.0
//
// Reads messages of text, and refuses what no text can answer.
#include "runtime/serve/ChatRequest.h"

#include <algorithm>
#include <array>

namespace fairy2::serve {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// Variables that the renderer sets itself, or whose name says how to render.
constexpr std::array kOwnVariables = {
    "messages",       "tools",       "documents",
    "chat_template",  "tokenize",    "add_generation_prompt",
    "bos_token",      "eos_token",   "continue_final_message",
    "unk_token",      "pad_token",   "sep_token",
    "cls_token",      "mask_token",  "additional_special_tokens",
    "return_tensors", "conversation"};

std::string contentOf(const JsonFields &message) {
  const json *content = message.find("content");
  if (content && content->is_string())
    return content->get<std::string>();
  if (!content || !content->is_array())
    message.fail("content", "a text or a list of parts");
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    const JsonFields part((*content)[i], message.pathOf("content") + "[" +
                                             std::to_string(i) + "]");
    if (part.string("type").value_or("") != "text")
      part.fail("type", "text");
    const auto piece = part.string("text");
    if (!piece)
      part.fail("text", "a text");
    text += *piece;
  }
  return text;
}

std::string roleOf(const JsonFields &message) {
  const auto role = message.string("role");
  if (role == "developer") // OpenAI's newer name
    return "system";
  if (role != "system" && role != "user" && role != "assistant")
    message.fail("role", "system, developer, user or assistant");
  return *role;
}

ordered_json readMessages(const JsonFields &fields) {
  const json *found = fields.find("messages");
  if (!found || !found->is_array() || found->empty())
    fields.fail("messages", "a list of at least one message");
  ordered_json messages = ordered_json::array();
  for (size_t i = 0; i < found->size(); ++i) {
    const JsonFields message((*found)[i],
                             "messages[" + std::to_string(i) + "]");
    message.refuse("tool_calls", "this server calls no tools");
    message.refuse("function_call", "this server calls no functions");
    message.refuse("audio", "this model reads text alone");
    std::string role = roleOf(message);
    messages.push_back(
        {{"role", std::move(role)}, {"content", contentOf(message)}});
  }
  return messages;
}

ordered_json readVariables(const JsonFields &fields) {
  ordered_json variables = ordered_json::object();
  const auto object = fields.object("chat_template_kwargs");
  if (!object)
    return variables;
  for (const auto &[name, value] : object->value().items()) {
    if (std::ranges::count(kOwnVariables, name))
      throw ApiError(400,
                     object->pathOf(name) +
                         ": is set by the server, not by a request",
                     object->pathOf(name));
    if (value.is_structured())
      failField(object->pathOf(name), "a text, a number, true or false", value);
    variables[name] = value;
  }
  return variables;
}

/// Throws ApiError for what would need more than text.
void refuseOthers(const JsonFields &fields) {
  fields.refuse("tools", "this server calls no tools");
  fields.refuse("functions", "this server calls no functions");
  fields.refuse("audio", "this model writes text alone");
  fields.refuse("web_search_options", "this server searches nothing");
  for (const char *key : {"tool_choice", "function_call"})
    if (const json *found = fields.find(key);
        found && *found != "none" && *found != "auto")
      fields.fail(key, "none: this server calls no tools");
  if (const json *found = fields.find("modalities");
      found && *found != json::array({"text"}))
    fields.fail("modalities", "[\"text\"]");
  if (const auto format = fields.object("response_format");
      format && format->string("type").value_or("") != "text")
    throw ApiError(400,
                   "response_format: expected the type text: this server "
                   "constrains no answers",
                   "response_format");
}

} // namespace

ChatRequest parseChat(std::string_view body, const RequestBounds &bounds) {
  const json parsed = parseBody(body);
  const JsonFields fields(parsed);
  ChatRequest request;
  readGeneration(fields, bounds, request);
  request.messages = readMessages(fields);
  request.variables = readVariables(fields);
  refuseOthers(fields);
  const auto older = fields.integer("max_tokens", 1, kMostTokens);
  const auto newer = fields.integer("max_completion_tokens", 1, kMostTokens);
  request.maxTokens = newer ? newer : older;
  const auto alternatives = fields.integer("top_logprobs", 0, kMostLogprobs);
  if (fields.boolean("logprobs").value_or(false))
    request.logprobs = alternatives.value_or(0);
  else if (alternatives.value_or(0) > 0)
    throw ApiError(400, "top_logprobs: expected logprobs to be true",
                   "top_logprobs");
  return request;
}

} // namespace fairy2::serve
