// SPDX-License-Identifier: Apache-2.0
//
// fairy2-run: continues a prompt with a compiled model and streams the text.
#include "runtime/Generate.h"

#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <iostream>

using namespace fairy2;

namespace {

struct Arguments {
  std::string model, prompt, logitsOut;
  std::vector<int32_t> promptIds;
  bool noBos = false, json = false;
  SessionOptions session;
  GenerationOptions generation;
};

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void addOptions(CLI::App &app, Arguments &args) {
  app.set_version_flag("--version", "fairy2-run " FAIRY2_VERSION);
  app.footer("Example: fairy2-run model.so -p \"Once upon a time\" -n 100");
  app.add_option("model", args.model, "Compiled model")->required();
  auto *source = app.add_option_group("prompt");
  source->add_option("-p,--prompt", args.prompt, "Text to continue");
  source->add_option("--prompt-ids", args.promptIds, "Token ids to continue")
      ->delimiter(',');
  source->require_option(1);
  app.add_flag("--no-bos", args.noBos,
               "Do not let the tokenizer add special tokens to the text");

  GenerationOptions &g = args.generation;
  app.add_option("-n,--tokens", g.maxTokens, "Most tokens to generate")
      ->capture_default_str();
  app.add_option("--temperature", g.sampling.temperature,
                 "Randomness; 0: always the likeliest token")
      ->capture_default_str();
  app.add_option("--top-k", g.sampling.topK, "Keep the K likeliest; 0: off");
  app.add_option("--top-p", g.sampling.topP,
                 "Keep the fewest tokens with this probability; 1: off");
  app.add_option("--min-p", g.sampling.minP,
                 "Keep tokens this likely relative to the best; 0: off");
  app.add_option("--repetition-penalty", g.sampling.repetitionPenalty,
                 "Above 1: tokens that occurred get less likely; 1: off");
  app.add_option("--seed", g.sampling.seed, "Equal seeds, equal text");
  app.add_option("--stop", g.stops, "End before this text (repeatable)")
      ->take_all()
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag("--ignore-eos", g.ignoreEos, "Go on when the model's text ends");
  app.add_option("--logits-out", args.logitsOut,
                 "Write the prompt's logits: float32 .npy [tokens, vocab]");
  app.add_option("--threads", args.session.threads, "0: one per usable core");
  app.add_option("--context", args.session.context,
                 "Positions; 0: the model's maximum, at most 4096");
  app.add_flag("--json", args.json, "Print one JSON object, no stream");
}

void run(Arguments &args) {
  const auto model = Model::open(args.model);
  std::vector<int32_t> prompt = args.promptIds;
  if (prompt.empty())
    prompt = model->tokenizer().encode(args.prompt, !args.noBos);
  Session session(model, args.session);
  if (!args.logitsOut.empty())
    args.generation.logitsOut = args.logitsOut;
  if (!args.json)
    args.generation.onText = [](std::string_view text) {
      std::cout << text << std::flush;
    };
  // The first Ctrl-C ends the text, a second one the program.
  args.generation.interrupted = &interrupted;
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = true; };
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);

  const Generation result = generate(session, prompt, args.generation);
  if (args.json) {
    std::cout << jsonOf(result, prompt, *model) << '\n';
    return;
  }
  if (!model->hasTokenizer())
    for (size_t i = 0; i < result.ids.size(); ++i)
      std::cout << (i ? "," : "") << result.ids[i];
  std::cout << std::endl;
  std::fprintf(stderr,
               "prompt: %zu tokens, %.1f tok/s; generated: %zu tokens, %.1f "
               "tok/s (%s, %s, %d threads)\n",
               prompt.size(), result.promptTokensPerSecond, result.ids.size(),
               result.tokensPerSecond, nameOf(result.reason),
               model->variant().name.c_str(), session.threads().size());
}

} // namespace

int main(int argc, char **argv) {
  Arguments args;
  CLI::App app("Generate text with a compiled Fairy2 model.");
  addOptions(app, args);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    run(args);
    return 0;
  } catch (const std::exception &error) {
    std::cerr << "fairy2-run: error: " << error.what() << '\n';
    return 1;
  }
}
