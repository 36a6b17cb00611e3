// SPDX-License-Identifier: Apache-2.0
//
// Writes the whole history anew for every answer.
#include "runtime/Conversation.h"

#include "runtime/Status.h"

#include <utility>

namespace fairy2 {
namespace {

nlohmann::ordered_json messageOf(const char *role, const std::string &text) {
  return {{"role", role}, {"content", text}};
}

} // namespace

std::vector<int32_t> encodeChat(const Model &model,
                                const nlohmann::ordered_json &messages,
                                const RenderOptions &options) {
  const RenderedChat chat = model.chatTemplate().render(messages, options);
  return model.tokenizer().encodeMixed(chat.text, chat.untrusted);
}

Conversation::Conversation(Session &session) : session(session) {
  session.model().tokenizer();
  session.model().chatTemplate();
}

bool Conversation::hasSystem() const {
  return !history.empty() && history.front()["role"] == "system";
}

void Conversation::setSystem(const std::string &text) {
  if (hasSystem())
    history.erase(history.begin());
  if (!text.empty())
    history.insert(history.begin(), messageOf("system", text));
}

void Conversation::reset() {
  history.erase(history.begin() + hasSystem(), history.end());
}

Generation Conversation::answer(const std::string &text,
                                const GenerationOptions &options) {
  nlohmann::ordered_json messages = history;
  messages.push_back(messageOf("user", text));
  const std::vector<int32_t> tokens = encodeChat(session.model(), messages);
  if (tokens.size() > size_t(session.context()))
    throw StatusError(FAIRY2_OUT_OF_CONTEXT,
                      "conversation: expected at most " +
                          std::to_string(session.context()) +
                          " tokens, the context, found " +
                          std::to_string(tokens.size()) + " with this message");
  Generation result = generate(session, tokens, options);
  if (!result.ids.empty()) {
    history = std::move(messages);
    history.push_back(messageOf("assistant", result.text));
  }
  return result;
}

} // namespace fairy2
