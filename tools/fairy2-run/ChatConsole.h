// SPDX-License-Identifier: Apache-2.0
//
// fairy2-run --chat: reads messages, shows answers, obeys commands. Answers go
// to the standard output, everything else to the standard error.
#pragma once

#include "runtime/Conversation.h"
#include "runtime/support/Error.h"
#include "tools/fairy2-run/CtrlC.h"

#include <string>

namespace fairy2 {

class ChatConsole {
public:
  /// Talks on the standard streams. `system` may be empty.
  ChatConsole(Session &session, GenerationOptions options,
              const std::string &system);

  /// Returns at the end of the input, after /exit, or after Ctrl-C twice at
  /// the prompt. On a terminal errors are shown and the talk goes on;
  /// otherwise they are thrown.
  void run();

private:
  /// Returns false for /exit.
  bool obey(const std::string &line);
  void answer(const std::string &text);
  /// Shows an error to who types, and throws it otherwise.
  void complain(const Error &error) const;

  Session &session;
  GenerationOptions options;
  Conversation conversation;
  CtrlC ctrlC;
  bool isTerminal; ///< whether somebody types
};

} // namespace fairy2
