// SPDX-License-Identifier: Apache-2.0
//
// A model's own way of writing a conversation as one text, and that text as
// token ids. What people typed stays text: only the template itself can write
// control tokens.
#pragma once

#include "runtime/text/Tokenizer.h"
#include "runtime/text/jinja/Template.h"

#include <nlohmann/json.hpp>

#include <ctime>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

/// A conversation as text. `untrusted` are the parts that came from messages.
struct RenderedChat {
  std::string text;
  std::vector<ByteRange> untrusted;
};

struct RenderOptions {
  bool addGenerationPrompt = true; ///< end where the assistant's turn begins
  /// More variables of the template, such as `tools` or `enable_thinking`.
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();
  std::time_t now = std::time(nullptr); ///< what strftime_now tells
};

class ChatTemplate {
public:
  /// `source` is a Jinja template; `specialTokens` the texts of bos_token,
  /// eos_token and so on, which templates write by name. Throws Error naming
  /// the template's line.
  ChatTemplate(std::string_view source,
               const std::map<std::string, std::string> &specialTokens);

  /// Writes `messages`, a list of {"role", "content", ..} objects. Throws Error
  /// naming the template's line, also when the template refuses the messages.
  RenderedChat render(const nlohmann::ordered_json &messages,
                      const RenderOptions &options = {}) const;

private:
  jinja::Template parsed;
  jinja::Variables specialTokens;
};

} // namespace fairy2
