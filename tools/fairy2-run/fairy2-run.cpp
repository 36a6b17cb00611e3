// SPDX-License-Identifier: Apache-2.0
//
// fairy2-run: continues a prompt with a compiled model and streams the text, or
// talks with a chat model.
#include "runtime/support/Error.h"
#include "runtime/support/File.h"
#include "runtime/support/PlainText.h"
#include "runtime/support/SameFile.h"
#include "runtime/support/StandardStreams.h"
#include "runtime/support/Unfinished.h"
#include "runtime/support/VisibleText.h"
#include "tools/fairy2-run/ChatConsole.h"
#include "tools/fairy2-run/Options.h"

#include <csignal>
#include <cstdio>
#include <iostream>

using namespace fairy2;

namespace {

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void chat(const Arguments &args) {
  Session session(Model::open(args.model), args.session);
  ChatConsole(session, args.generation, args.system).run();
}

/// Throws Error for an argument that is no text.
void checkTexts(const Arguments &args) {
  requirePlainText(args.prompt, "--prompt");
  requirePlainText(args.system, "--system");
  for (const std::string &stop : args.generation.stops)
    requirePlainText(stop, "--stop");
}

/// The text to continue. Who writes it with a tool or an editor ends it with a
/// newline that is not meant.
std::string promptOf(const Arguments &args) {
  if (args.promptFile.empty() && args.prompt != "-")
    return args.prompt;
  std::string text = args.promptFile.empty() ? readStandardInput()
                                             : readStream(args.promptFile);
  if (text.ends_with('\n'))
    text.pop_back();
  return text;
}

void run(Arguments &args) {
  const std::string prompt =
      args.prompt == "-" ? "/dev/stdin" : args.promptFile;
  for (const std::string &input : {args.model, prompt})
    if (!args.logitsOut.empty())
      requireNotInput(args.logitsOut, input);
  if (!args.logitsOut.empty())
    requireCreatable(args.logitsOut);
  const auto model = Model::open(args.model);
  std::vector<int32_t> ids = args.promptIds;
  if (ids.empty())
    ids = model->tokenizer().encode(promptOf(args), !args.noBos);
  Session session(model, args.session);
  if (!args.logitsOut.empty())
    args.generation.logitsOut = args.logitsOut;
  if (!args.json)
    args.generation.onText = standardOutput();
  // The first Ctrl-C ends the text, a second one the program.
  args.generation.interrupted = &interrupted;
  struct sigaction action = {};
  action.sa_handler = [](int) {
    interrupted = true;
    cleanUpOnSignals();
  };
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);

  const Generation result = generate(session, ids, args.generation);
  if (args.json)
    std::cout << jsonOf(result, ids, *model);
  else if (!model->hasTokenizer())
    for (size_t i = 0; i < result.ids.size(); ++i)
      std::cout << (i ? "," : "") << result.ids[i];
  std::cout << '\n';
  flushStandardOutput();
  if (!args.json)
    std::fprintf(stderr,
                 "prompt: %zu tokens, %.1f tok/s; generated: %zu tokens, "
                 "%.1f tok/s (%s, %s, %s%d threads)\n",
                 ids.size(), result.promptTokensPerSecond, result.ids.size(),
                 result.tokensPerSecond, nameOf(result.reason),
                 model->variant().name.c_str(),
                 args.session.threads == 0 ? "up to " : "",
                 session.threads().size());
}

} // namespace

int main(int argc, char **argv) {
  openStandardStreams();
  cleanUpOnSignals();
  Arguments args;
  if (const std::optional<int> code = parseArguments(argc, argv, args))
    return *code;
  try {
    checkTexts(args);
    args.chat ? chat(args) : run(args);
    return 0;
  } catch (const std::exception &error) {
    std::cerr << "fairy2-run: error: " << error.what() << '\n';
    return 1;
  }
}
