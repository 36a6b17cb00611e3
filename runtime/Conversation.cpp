// SPDX-License-Identifier: Apache-2.0
#include "runtime/Conversation.h"

#include "runtime/Status.h"

#include <algorithm>
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
                                GenerationOptions options) {
  nlohmann::ordered_json messages = history;
  messages.push_back(messageOf("user", text));
  std::vector<int32_t> tokens = encodeChat(session.model(), messages);
  if (tokens.size() > size_t(session.context()))
    throw StatusError(FAIRY2_OUT_OF_CONTEXT,
                      "conversation: expected at most " +
                          std::to_string(session.context()) +
                          " tokens, the context, found " +
                          std::to_string(tokens.size()) + " with this message");
  // What the slot holds is unknown again if generate() fails half-way.
  const std::vector<int32_t> held = std::exchange(inSlot, {});
  const auto same =
      std::mismatch(held.begin(), held.end(), tokens.begin(), tokens.end());
  options.cachedTokens =
      int32_t(std::min(same.first - held.begin(), std::ssize(tokens) - 1));
  Generation result = generate(session, tokens, options);

  inSlot = std::move(tokens);
  inSlot.insert(inSlot.end(), result.ids.begin(), result.ids.end());
  inSlot.resize(size_t(session.length(0)));
  if (!result.ids.empty()) {
    history = std::move(messages);
    history.push_back(messageOf("assistant", result.text));
  }
  return result;
}

} // namespace fairy2
