// SPDX-License-Identifier: Apache-2.0
//
// Talking with a chat model: the history, written by the model's own template,
// and the answers. The logic of fairy2-run --chat.
#pragma once

#include "runtime/Generate.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace fairy2 {

/// Token ids of `messages` (a list of {"role", "content", ..} objects) as the
/// model's template writes them. As with transformers, the template alone adds
/// special tokens, BOS included; text of a message never becomes one. Throws
/// StatusError when the model has no tokenizer or template, or the template
/// refuses the messages.
std::vector<int32_t> encodeChat(const Model &model,
                                const nlohmann::ordered_json &messages,
                                const RenderOptions &options = {});

class Conversation {
public:
  /// Uses slot 0 of `session`, which must outlive it and be used by nobody
  /// else. Throws StatusError when the model has no tokenizer or template.
  explicit Conversation(Session &session);

  /// Replaces the system message; an empty text removes it.
  void setSystem(const std::string &text);
  /// Forgets all messages but the system's.
  void reset();

  /// Adds the user's message and generates the answer, which becomes part of
  /// the history also when it was cut short. Without a single token of an
  /// answer (an interruption, or an exception) the history stays as it was.
  /// Every time, the whole history is written anew by the template; the tokens
  /// that the KV cache already holds from its start are not computed again.
  /// Throws StatusError, FAIRY2_OUT_OF_CONTEXT when the history does not fit.
  Generation answer(const std::string &text, const GenerationOptions &options);

  /// The history: {"role", "content"} objects.
  const nlohmann::ordered_json &messages() const { return history; }

private:
  bool hasSystem() const;

  Session &session;
  nlohmann::ordered_json history = nlohmann::ordered_json::array();
};

} // namespace fairy2
