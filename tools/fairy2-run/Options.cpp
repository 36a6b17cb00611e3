// SPDX-License-Identifier: Apache-2.0
//
// The command line of fairy2-run, by CLI11. What depends on the model is
// checked where it is used.
#include "tools/fairy2-run/Options.h"

#include "runtime/support/Words.h"
#include "tools/HugePagesOption.h"
#include "tools/ParsingEnd.h"
#include "tools/Validators.h"

#include <CLI/CLI.hpp>

#include <charconv>
#include <limits>

namespace fairy2 {
namespace {

std::pair<int32_t, float> biasOf(const std::string &word) {
  std::pair<int32_t, float> bias;
  const char *end = word.data() + word.size();
  const auto id = std::from_chars(word.data(), end, bias.first);
  if (id.ec == std::errc() && id.ptr != end && *id.ptr == '=') {
    const auto value = std::from_chars(id.ptr + 1, end, bias.second);
    if (value.ec == std::errc() && value.ptr == end)
      return bias;
  }
  throw CLI::ValidationError("--logit-bias",
                             "expected ID=BIAS, found " + quoteName(word));
}

void addOptions(CLI::App &app, Arguments &args) {
  app.set_version_flag("--version", "fairy2-run " FAIRY2_VERSION);
  app.footer("Example: fairy2-run model.so -p \"Once upon a time\" -n 100");
  app.add_option("model", args.model, "Compiled model")->required();
  auto *source = app.add_option_group("prompt");
  source->add_option("-p,--prompt", args.prompt,
                     "Text to continue; -: the standard input");
  source->add_option("--file", args.promptFile,
                     "File or pipe with the text, but for a last newline");
  addList(*source, "--prompt-ids", args.promptIds, "ID,ID,..",
          "Token ids to continue", wholeNumber<int32_t>(0));
  CLI::Option *chat = source->add_flag(
      "--chat", args.chat, "Talk with a chat model; /help there explains");
  source->require_option(1);
  app.add_option("--system", args.system, "System message of --chat")
      ->needs(chat);
  app.add_flag("--no-bos", args.noBos,
               "Do not let the tokenizer add special tokens to the text")
      ->excludes(chat);

  GenerationOptions &g = args.generation;
  app.add_option("-n,--tokens", g.maxTokens,
                 "Most tokens to generate; of --chat per answer, unlimited")
      ->check(wholeNumber<int64_t>(1))
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
  app.add_option("--presence-penalty", g.sampling.presencePenalty,
                 "What the logits of generated tokens lose, -2 to 2; 0: off");
  app.add_option("--frequency-penalty", g.sampling.frequencyPenalty,
                 "The same for each time that they were generated");
  addList(app, "--logit-bias", args.logitBias, "ID=BIAS,..",
          "What the logits of token ids gain, -100 to 100", CLI::Validator());
  app.add_option("--seed", g.sampling.seed, "Equal seeds, equal text")
      ->check(wholeNumber<uint64_t>());
  app.add_option("--stop", g.stops, "End before this text (repeatable)")
      ->allow_extra_args(false);
  app.add_flag("--ignore-eos", g.ignoreEos, "Go on when the model's text ends");
  app.add_option("--logits-out", args.logitsOut,
                 "Write the prompt's logits: float32 .npy [tokens, vocab]")
      ->check(fileName())
      ->excludes(chat);
  app.add_option("--threads", args.session.threads,
                 "0: as many usable cores as pay");
  app.add_option("--context", args.session.context,
                 "Positions; 0: the model's maximum, at most 4096")
      ->check(wholeNumber<int32_t>(0));
  addHugePages(app, args.session.hugePages);
  app.add_flag("--json", args.json, "Print one JSON object, no stream")
      ->excludes(chat);
}

} // namespace

std::optional<int> parseArguments(int argc, char **argv, Arguments &args) {
  CLI::App app("Generate text with a compiled Fairy2 model.");
  addOptions(app, args);
  readPaddedNumbers(app);
  try {
    app.parse(argc, argv);
    for (const std::string &word : args.logitBias)
      args.generation.sampling.logitBias.push_back(biasOf(word));
    checkUsage([&] { checkSampling(args.generation.sampling); });
    checkUsage([&] { checkThreads(args.session.threads); });
    if (args.chat && app["--tokens"]->count() == 0)
      args.generation.maxTokens = std::numeric_limits<int64_t>::max();
    return std::nullopt;
  } catch (const CLI::ParseError &error) {
    return endParsing(app, error, "fairy2-run");
  }
}

} // namespace fairy2
