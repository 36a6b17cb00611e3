// SPDX-License-Identifier: Apache-2.0
//
// Reads the four forms of a prompt, and refuses what would need another model.
#include "runtime/serve/CompletionsRequest.h"

namespace fairy2::serve {
namespace {

using nlohmann::json;

constexpr int64_t kDefaultTokens = 16; // of OpenAI's specification
constexpr const char *kPromptForms =
    "a text, a list of texts, a list of token ids or a list of such lists";

std::string placeOf(const std::string &path, size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

Prompt readPrompt(const json &value, const std::string &path,
                  int32_t vocabSize) {
  if (value.is_string())
    return value.get<std::string>();
  if (value.is_array())
    return readIds(value, path, vocabSize);
  failField(path, "a text or a list of token ids", value);
}

std::vector<Prompt> readPrompts(const JsonFields &fields, int32_t vocabSize) {
  const json *found = fields.find("prompt");
  if (!found || (!found->is_string() && !found->is_array()))
    fields.fail("prompt", kPromptForms);
  if (found->is_array() && found->empty())
    fields.fail("prompt", "at least one prompt");
  // Numbers right in the list are one prompt.
  if (found->is_string() || found->front().is_number())
    return {readPrompt(*found, "prompt", vocabSize)};
  if (found->size() > size_t(kMostPrompts))
    fields.fail("prompt",
                "at most " + std::to_string(kMostPrompts) + " prompts");
  std::vector<Prompt> prompts;
  for (const json &value : *found) {
    const std::string path = placeOf("prompt", prompts.size());
    if (value.is_string() != found->front().is_string())
      failField(path, "prompts of one form", value);
    prompts.push_back(readPrompt(value, path, vocabSize));
  }
  return prompts;
}

} // namespace

std::vector<int32_t> readIds(const json &list, const std::string &path,
                             int32_t vocabSize) {
  if (!list.is_array() || list.empty())
    failField(path, "at least one token id", list);
  std::vector<int32_t> ids;
  ids.reserve(list.size());
  for (const json &value : list) {
    // A large unsigned number reads as a negative one.
    const int64_t id = value.is_number_integer() ? value.get<int64_t>() : -1;
    if (id < 0 || id >= vocabSize)
      failField(placeOf(path, ids.size()),
                "a token id from 0 to " + std::to_string(vocabSize - 1), value);
    ids.push_back(int32_t(id));
  }
  return ids;
}

CompletionsRequest parseCompletions(std::string_view body,
                                    const RequestBounds &bounds) {
  const json parsed = parseBody(body);
  const JsonFields fields(parsed);
  CompletionsRequest request;
  readGeneration(fields, bounds, request);
  request.prompts = readPrompts(fields, bounds.vocabSize);
  request.echo = fields.boolean("echo").value_or(false);
  request.addSpecialTokens =
      fields.boolean("add_special_tokens").value_or(true);
  request.logprobs = fields.integer("logprobs", 0, kMostLogprobs);
  request.maxTokens =
      fields.integer("max_tokens", 0, kMostTokens).value_or(kDefaultTokens);
  if (request.maxTokens == 0 && !request.echo)
    fields.fail("max_tokens", "at least 1 without echo");
  if (int64_t(request.prompts.size()) * request.n > kMostSequences)
    fields.fail("n", "at most " + std::to_string(kMostSequences) +
                         " texts of all prompts together");
  if (const auto best = fields.integer("best_of", 1, kMostSequences);
      best && *best != request.n)
    throw ApiError(400, "best_of: expected n: this server returns all texts",
                   "best_of");
  fields.refuse("suffix", "this model continues texts at their end alone");
  return request;
}

} // namespace fairy2::serve
