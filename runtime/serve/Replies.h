// SPDX-License-Identifier: Apache-2.0
//
// The text of replies, as OpenAI's API has them: whole ones, and the chunks of
// streams. A stream's chunks share a beginning that is made once.
#pragma once

#include "runtime/Sequence.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2::serve {

/// What every part of a reply tells of it.
struct ReplyHead {
  bool isChat = false;
  std::string id; ///< cmpl-.. or chatcmpl-..
  int64_t created = 0;
  std::string model, fingerprint;
};

struct Usage {
  size_t promptTokens = 0, generatedTokens = 0, cachedTokens = 0;
};

/// One text at its end.
struct Choice {
  std::string text;
  FinishReason reason = FinishReason::Length;
  std::string logprobs = "null"; ///< JSON
};

/// `stop` or `length`.
const char *finishName(FinishReason reason);
/// The whole reply.
std::string wholeReply(const ReplyHead &head,
                       const std::vector<Choice> &choices, const Usage &usage);

/// Events of a stream.
class Chunks {
public:
  /// `tellsUsage`: the last chunk has it, and the others null.
  Chunks(const ReplyHead &head, bool tellsUsage);

  /// Of a chat alone: who speaks.
  std::string role(size_t choice) const;
  std::string text(size_t choice, std::string_view piece,
                   std::string_view logprobs) const;
  std::string end(size_t choice, FinishReason reason) const;
  std::string usage(const Usage &usage) const;
  static std::string done() { return "data: [DONE]\n\n"; }
  static std::string error(const std::string &json) {
    return "data: " + json + "\n\n";
  }
  /// What keeps a connection alive while there is nothing to tell.
  static std::string heartbeat() { return ": still here\n\n"; }

private:
  std::string chunk(size_t choice, std::string_view content,
                    std::string_view logprobs, std::string_view reason) const;

  bool isChat;
  std::string beginning, ending;
};

} // namespace fairy2::serve
