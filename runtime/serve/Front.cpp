// SPDX-License-Identifier: Apache-2.0
//
// Texts and messages to token ids, and token ids to sequences.
#include "runtime/serve/Front.h"

#include "runtime/Conversation.h"
#include "runtime/Status.h"
#include "runtime/serve/ChatRequest.h"
#include "runtime/serve/Scores.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace fairy2::serve {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::string dumped(const ordered_json &reply) {
  return reply.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

} // namespace

Front::Front(const Session &session, Engine &engine, std::string modelId,
             bool bosForIds)
    : session(session), engine(engine), modelId(std::move(modelId)),
      bounds{session.vocabSize()} {
  const Model &model = session.model();
  if (model.hasTokenizer()) {
    model.tokenizer();
    if (model.manifest().chatTemplate)
      model.chatTemplate();
  }
  if (bosForIds) {
    this->bosForIds = model.manifest().bosToken;
    if (!this->bosForIds)
      throw Error(model.path() + ": bos_token: expected one for "
                                 "--bos-for-ids, found none");
  }
}

const Tokenizer &Front::tokenizer() const {
  if (!session.model().hasTokenizer())
    throw ApiError(400, "model: was compiled without a tokenizer: expected "
                        "token ids");
  return session.model().tokenizer();
}

std::string Front::withoutPath(const std::string &message) const {
  std::string text = message;
  const std::string &path = session.model().path();
  for (size_t at = 0; (at = text.find(path, at)) != text.npos;
       at += modelId.size())
    text.replace(at, path.size(), modelId);
  return text;
}

void Front::checkModel(const GenerationRequest &request) const {
  if (request.model && *request.model != modelId)
    throw ApiError(404,
                   "model: expected " + modelId + ", found " +
                       describe(json(*request.model)),
                   "model", "model_not_found");
}

void Front::addSequences(Prepared &prepared, std::vector<int32_t> prompt,
                         const std::string &field) {
  if (prompt.size() > size_t(session.context()))
    throw ApiError(400,
                   field + ": context_length_exceeded: expected at most " +
                       std::to_string(session.context()) + " tokens, found " +
                       std::to_string(prompt.size()),
                   field, "context_length_exceeded");
  prepared.promptTokens += prompt.size();
  if (session.model().hasTokenizer())
    prepared.tokenizer = &session.model().tokenizer();
  GenerationRequest &request = prepared.request;
  if (request.logprobs)
    request.options.logprobs = int32_t(*request.logprobs);
  request.options.maxTokens =
      request.maxTokens.value_or(std::numeric_limits<int64_t>::max());
  for (int64_t j = 0; j < request.n; ++j) {
    GenerationOptions options = engine.watched(request.options, *prepared.job,
                                               prepared.job->sequences.size());
    options.sampling.seed += uint64_t(j);
    try {
      prepared.job->sequences.push_back(
          std::make_shared<Sequence>(session, prompt, std::move(options)));
    } catch (const StatusError &error) {
      throw ApiError(400, withoutPath(error.what()), field);
    }
  }
}

std::pair<std::vector<int32_t>, size_t> Front::idsOf(const Prompt &prompt,
                                                     bool addsSpecial) const {
  if (const auto *text = std::get_if<std::string>(&prompt))
    return {tokenizer().encode(*text, addsSpecial), 0};
  std::vector<int32_t> ids = std::get<std::vector<int32_t>>(prompt);
  if (!bosForIds || ids.front() == *bosForIds)
    return {std::move(ids), 0};
  ids.insert(ids.begin(), *bosForIds);
  return {std::move(ids), 1};
}

/// A text's echo is the text itself, in which the tokens that were put before
/// it have no place; ids are decoded, all but the hidden.
EchoedPrompt Front::echoOf(const Prompt &prompt,
                           const std::vector<int32_t> &ids, size_t hidden,
                           bool addsSpecial) const {
  EchoedPrompt echo{ids, hidden, {}, {}};
  const auto *text = std::get_if<std::string>(&prompt);
  const std::vector<int32_t> &framed = tokenizer().frame().before;
  const size_t before =
      text && addsSpecial ? std::min(framed.size(), ids.size()) : hidden;
  echo.text =
      text ? *text : tokenizer().decode(std::span(ids).subspan(before), false);
  echo.offsets.assign(before, 0);
  Offsets offsets(tokenizer(), {});
  for (size_t i = before; i < ids.size(); ++i)
    echo.offsets.push_back(offsets.next(ids[i]));
  return echo;
}

Prepared Front::completions(const std::string &body, std::shared_ptr<Job> job) {
  CompletionsRequest request = parseCompletions(body, bounds);
  checkModel(request);
  if (request.logprobs || request.echo)
    tokenizer();
  Prepared prepared{std::move(job), request};
  prepared.request.options.continuesText = true;
  // A sequence without a token to generate has to have something to do.
  const bool scoresAlone = request.maxTokens == 0;
  prepared.request.options.scoresPrompt =
      scoresAlone || (request.echo && request.logprobs);
  if (scoresAlone)
    prepared.request.options.logprobs = 0;
  for (size_t k = 0; k < request.prompts.size(); ++k) {
    const std::string field = request.prompts.size() == 1
                                  ? "prompt"
                                  : "prompt[" + std::to_string(k) + "]";
    const Prompt &prompt = request.prompts[k];
    auto [ids, hidden] = idsOf(prompt, request.addSpecialTokens);
    if (ids.empty())
      throw ApiError(400, field + ": expected at least one token, found none",
                     field);
    if (request.echo)
      prepared.echoes.push_back(
          echoOf(prompt, ids, hidden, request.addSpecialTokens));
    addSequences(prepared, std::move(ids), field);
    prepared.promptTokens -= hidden;
  }
  return prepared;
}

Prepared Front::chat(const std::string &body, std::shared_ptr<Job> job) {
  ChatRequest request = parseChat(body, bounds);
  checkModel(request);
  tokenizer();
  RenderOptions options;
  options.variables = std::move(request.variables);
  std::vector<int32_t> ids;
  try {
    ids = encodeChat(session.model(), request.messages, options);
  } catch (const Error &error) {
    throw ApiError(400, withoutPath(error.what()), "messages");
  }
  if (ids.empty())
    throw ApiError(400, "messages: expected at least one token, found none",
                   "messages");
  Prepared prepared{std::move(job), std::move(request)};
  addSequences(prepared, std::move(ids), "messages");
  return prepared;
}

/// The names are those of vLLM and of llama.cpp, which differ in whether they
/// add special tokens by themselves.
std::string Front::tokenize(const std::string &body) const {
  const json parsed = parseBody(body);
  const JsonFields fields(parsed);
  const auto prompt = fields.string("prompt");
  const auto content = fields.string("content");
  const std::optional<std::string> &text = prompt ? prompt : content;
  if (!text)
    fields.fail("prompt", "a text");
  const auto ours = fields.boolean("add_special_tokens");
  const auto theirs = fields.boolean("add_special");
  const bool addsSpecial = ours ? *ours : theirs ? *theirs : prompt.has_value();
  const std::vector<int32_t> ids = tokenizer().encode(*text, addsSpecial);
  return dumped({{"tokens", ids},
                 {"count", ids.size()},
                 {"max_model_len", session.context()}});
}

std::string Front::detokenize(const std::string &body) const {
  const json parsed = parseBody(body);
  const JsonFields fields(parsed);
  const json *found = fields.find("tokens");
  if (!found || !found->is_array())
    fields.fail("tokens", "a list of token ids");
  std::string text;
  if (!found->empty())
    text =
        tokenizer().decode(readIds(*found, "tokens", bounds.vocabSize), false);
  return dumped({{"prompt", text}, {"content", text}});
}

std::string Front::tokenizerInfo() const {
  const Manifest &manifest = session.model().manifest();
  ordered_json info = {{"vocab_size", manifest.vocabSize},
                       {"max_model_len", session.context()}};
  for (const char *role : {"bos_token", "eos_token", "pad_token"}) {
    const auto found = manifest.specialTokens.find(role);
    info[role] = found == manifest.specialTokens.end()
                     ? ordered_json()
                     : ordered_json(found->second);
  }
  if (info["eos_token"].is_null() && !manifest.eosTokens.empty())
    info["eos_token"] =
        tokenizer().decode(std::span(manifest.eosTokens).first(1), false);
  info["chat_template"] = manifest.chatTemplate
                              ? ordered_json(*manifest.chatTemplate)
                              : ordered_json();
  return dumped(info);
}

} // namespace fairy2::serve
