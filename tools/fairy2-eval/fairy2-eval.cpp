// SPDX-License-Identifier: Apache-2.0
//
// fairy2-eval: how well a compiled model predicts a text, and answers
// questions.
#include "runtime/Session.h"
#include "runtime/measure/Evaluate.h"
#include "runtime/support/Error.h"
#include "runtime/support/StandardStreams.h"
#include "runtime/support/Unfinished.h"
#include "tools/HugePagesOption.h"
#include "tools/ParsingEnd.h"
#include "tools/ProgressBar.h"
#include "tools/Validators.h"
#include "tools/fairy2-eval/ReadableText.h"
#include "tools/fairy2-eval/TaskReport.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <iostream>
#include <map>

using namespace fairy2;

namespace {

void reportText(const std::string &model, const std::string &text,
                EvaluationOptions options, bool json) {
  const ReadableText readable(text);
  ProgressBar bar("evaluating");
  options.onProgress = [&](int64_t done, int64_t total) {
    bar.show(done, total);
  };
  options.source = readable.path();
  Evaluation result;
  try {
    result = evaluate(Model::open(model),
                      documentsOf(readable.path(), options.protocol), options);
  } catch (const std::exception &error) {
    throw Error(readable.asGiven(error.what()));
  }
  if (json) {
    nlohmann::ordered_json out;
    out["nll_per_token"] = result.nllPerToken;
    out["perplexity"] = result.perplexity;
    out["tokens"] = result.tokens;
    out["protocol"] = nameOf(options.protocol);
    out["chunk"] = result.chunk;
    out["chunks"] = result.chunks;
    std::cout << out.dump() << '\n';
  } else {
    std::printf("NLL per token: %.4f nats\nperplexity: %.4f\ntokens: %lld\n",
                result.nllPerToken, result.perplexity,
                (long long)result.tokens);
  }
}

} // namespace

int main(int argc, char **argv) {
  openStandardStreams();
  cleanUpOnSignals();
  CLI::App app("Measure a compiled Fairy2 model's perplexity on a text, or "
               "how many questions of tasks it answers right.");
  app.set_version_flag("--version", "fairy2-eval " FAIRY2_VERSION);
  app.footer("Example: fairy2-eval model.so --text wiki.txt --max-chunks 60");
  std::string model, text;
  bool json = false;
  EvaluationOptions options;
  app.add_option("model", model, "Compiled model")->required();
  CLI::Option *textFile = app.add_option(
      "--text", text,
      "File or pipe with the text, UTF-8; .jsonl: documents; either "
      "may be compressed as .zst");
  std::map<std::string, Protocol> protocols;
  for (const Protocol protocol :
       {Protocol::Chunks, Protocol::Gptq, Protocol::Reference})
    protocols[nameOf(protocol)] = protocol;
  CLI::Option *protocol =
      app.add_option("--protocol", options.protocol,
                     "How the text is cut: tools/README.md gives the formulas")
          ->transform(CLI::Transformer(protocols).description(""))
          ->type_name("chunks|gptq|reference")
          ->default_str(nameOf(options.protocol));
  CLI::Option *chunk =
      app.add_option("--chunk", options.chunk,
                     "Tokens per piece; default 511, BOS not counted, of gptq "
                     "and reference 2048, or the model's positions if they are "
                     "fewer")
          ->check(wholeNumber<int32_t>(1));
  CLI::Option *maxChunks =
      app.add_option("--max-chunks", options.maxChunks,
                     "Pieces to evaluate; 0: the whole text")
          ->check(wholeNumber<int64_t>(0))
          ->capture_default_str();
  TaskArguments tasks;
  addTaskOptions(app, tasks, {textFile, protocol, chunk, maxChunks});
  app.add_option("--threads", options.threads,
                 "0: as many usable cores as pay");
  addHugePages(app, options.hugePages);
  app.add_flag("--json", json, "Print one JSON object");
  readPaddedNumbers(app);
  try {
    app.parse(argc, argv);
    if (tasks.tasks.empty() && textFile->count() == 0)
      throw CLI::RequiredError("--text or --task");
    checkUsage([&] { checkThreads(options.threads); });
  } catch (const CLI::ParseError &error) {
    return endParsing(app, error, "fairy2-eval");
  }
  try {
    if (tasks.tasks.empty()) {
      reportText(model, text, options, json);
    } else {
      tasks.options.threads = options.threads;
      tasks.options.hugePages = options.hugePages;
      reportTasks(model, tasks, json);
    }
    flushStandardOutput();
    return 0;
  } catch (const std::exception &error) {
    std::cerr << "fairy2-eval: error: " << error.what() << '\n';
    return 1;
  }
}
