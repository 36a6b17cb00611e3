// SPDX-License-Identifier: Apache-2.0
//
// One round per message: command, answer, or the end.
#include "tools/fairy2-run/ChatConsole.h"

#include "runtime/support/PlainText.h"
#include "runtime/support/StandardStreams.h"
#include "runtime/support/VisibleText.h"
#include "tools/fairy2-run/MessageReader.h"
#include "tools/fairy2-run/TerminalLines.h"

#include <cstdio>
#include <iostream>

#include <unistd.h>

namespace fairy2 {
namespace {

constexpr const char *kHelp =
    R"(Type a message and Enter. A backslash at the end of a line goes on in the
next line; so does a block that starts and ends with """.
/system TEXT   set the system message; without TEXT, remove it
/reset         forget the conversation but not the system message
/help          show this
/exit          end, as Ctrl-D does
Ctrl-C stops an answer; pressed twice at the prompt, it ends the program.)";

void note(const std::string &text) { std::cerr << text << std::endl; }

/// What to say about an answer that did not end by itself, or "".
std::string explain(const Generation &answer, const Session &session) {
  switch (answer.reason) {
  case FinishReason::Interrupted:
    return "stopped";
  case FinishReason::Length:
    return "cut after " + std::to_string(answer.ids.size()) +
           " tokens, as -n asks";
  case FinishReason::Context:
    return "cut: the context of " + std::to_string(session.context()) +
           " tokens is full; /reset starts anew";
  default:
    return "";
  }
}

} // namespace

ChatConsole::ChatConsole(Session &session, GenerationOptions theOptions,
                         const std::string &system)
    : session(session), options(std::move(theOptions)), conversation(session),
      isTerminal(isatty(STDIN_FILENO)) {
  conversation.setSystem(system);
  options.interrupted = &ctrlC.pressed();
  options.onText = standardOutput();
}

void ChatConsole::complain(const Error &error) const {
  if (!isTerminal)
    throw error;
  note("error: " + visibleText(error.what()));
}

void ChatConsole::run() {
  if (isTerminal)
    note("/help explains, Ctrl-D ends");
  const std::unique_ptr<LineSource> lines =
      isTerminal
          ? std::unique_ptr<LineSource>(std::make_unique<TerminalLines>(ctrlC))
          : std::make_unique<StreamLines>(STDIN_FILENO, ctrlC);
  MessageReader reader(*lines);
  for (bool interruptedBefore = false;;) {
    const Input input = reader.next();
    const bool interrupted = input.kind == Input::Kind::Interrupt;
    if (input.kind == Input::Kind::End ||
        (interrupted && interruptedBefore && input.text.empty()))
      return;
    interruptedBefore = interrupted;
    if (interrupted)
      note("(Ctrl-C again ends)");
    else if (input.kind == Input::Kind::Message)
      answer(input.text);
    else if (!obey(input.text))
      return;
  }
}

bool ChatConsole::obey(const std::string &line) {
  const size_t space = line.find(' ');
  const std::string command = line.substr(0, space);
  const std::string text =
      space == std::string::npos ? "" : line.substr(space + 1);
  if (command == "/exit")
    return false;
  try {
    requirePlainText(text, command);
  } catch (const Error &error) {
    complain(error);
    return true;
  }
  if (command == "/reset")
    conversation.reset();
  else if (command == "/system")
    conversation.setSystem(text);
  else if (command == "/help")
    note(kHelp);
  else
    complain(Error("command: expected one of /system, /reset, /help, /exit, "
                   "found " +
                   command + "; text in \"\"\" may start with a slash"));
  return true;
}

void ChatConsole::answer(const std::string &text) {
  if (text.find_first_not_of(" \t\n") == std::string::npos)
    return;
  ctrlC.clear(); // of an earlier answer
  try {
    requirePlainText(text, "message");
    const Generation result = conversation.answer(text, options);
    std::cout << std::endl;
    const std::string reason = explain(result, session);
    if (!reason.empty())
      note("[" + reason + "]");
  } catch (const Error &error) {
    complain(error);
  }
  flushStandardOutput();
  ctrlC.clear();
}

} // namespace fairy2
