// SPDX-License-Identifier: Apache-2.0
//
// fairy2-quantize: few bits from a checkpoint and some text, without training.
#include "runtime/Cores.h"
#include "runtime/support/StandardStreams.h"
#include "runtime/support/Unfinished.h"
#include "tools/ModelFolderFlags.h"
#include "tools/ParsingEnd.h"
#include "tools/Validators.h"
#include "tools/fairy2-quantize/PrintSummary.h"
#include "tools/fairy2-quantize/StagesForOption.h"
#include "trainer/quantize/Quantizer.h"
#include "trainer/run/Memory.h"

#include <CLI/CLI.hpp>

#include <cstdio>

using namespace fairy2;
using namespace fairy2::trainer;

int main(int argc, char **argv) {
  openStandardStreams();
  cleanUpOnSignals();
  CLI::App app(
      "Quantize a Hugging Face model to complex phases so that it does "
      "on a text what it did before. Takes minutes and no GPU.");
  app.set_version_flag("--version", "fairy2-quantize " FAIRY2_VERSION);
  app.footer(
      "Example: fairy2-quantize models/SmolLM2-135M --calibration "
      "stories.txt -o models/SmolLM2-135M-4bit\n"
      "A command that was stopped goes on from its last layer when it is "
      "given again; what it has done lies in OUT.partial.\n"
      "Exit status: 0 done, 1 error, 2 bad command line.");
  QuantizeOptions options;
  bool dryRun = false, json = false;
  constexpr int64_t kMostTokens = int64_t(1) << 40;
  app.add_option("model", options.model, "Folder of a checkpoint")
      ->required()
      ->type_name("MODEL_DIR");
  addModelFolderFlags(app, options.rules);
  app.add_option("--calibration", options.calibration,
                 "Text like that which the model is for: .txt, .jsonl, or "
                 ".zst of either")
      ->required()
      ->type_name("FILE..");
  app.add_option("-o,--output", options.output,
                 "New folder for the checkpoint, which fairy2-compile and "
                 "fairy2-train take as it is")
      ->required()
      ->type_name("OUT")
      ->check(fileName());
  CLI::Option *stages =
      app.add_option("--stages", options.stages, "Bits per weight")
          ->check(CLI::Range(1, int(kMaxStages)))
          ->capture_default_str();
  app.add_option("--bits", options.bits,
                 "Bits per weight on average, factors included, spent where "
                 "they lower the predicted loss most")
      ->check(number(1, double(kMaxStages)))
      ->excludes(stages)
      ->type_name("B");
  addStagesFor(app, options.stagesFor);
  app.add_option("--tokens", options.tokens,
                 "Tokens of the text that weights are fitted to")
      ->check(CLI::Range(int64_t(1), kMostTokens))
      ->capture_default_str();
  app.add_option("--gradient-tokens", options.gradientTokens,
                 "Tokens that say which outputs matter")
      ->check(CLI::Range(int64_t(1), kMostTokens))
      ->capture_default_str();
  app.add_option("--tune", options.tuningTokens,
                 "Tokens on which factors of rows and norms are tuned when all "
                 "is coded; 0: none")
      ->check(CLI::Range(int64_t(0), kMostTokens))
      ->type_name("TOKENS")
      ->capture_default_str();
  app.add_option("--seed", options.seed,
                 "Decides which pieces of the text are used and what labels "
                 "are drawn")
      ->check(wholeNumber<uint64_t>())
      ->capture_default_str();
  options.threads = usableCores();
  app.add_option("--threads", options.threads,
                 "The result is the same for any number")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_flag("--dry-run", dryRun,
               "Print what would be coded, and about how long that takes on "
               "this machine, with how much memory and disk, and stop");
  app.add_flag("--json", json, "Print the summary as JSON");
  readPaddedNumbers(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return endParsing(app, error, "fairy2-quantize");
  }
  try {
    returnFreedTensors();
    const nlohmann::ordered_json result =
        dryRun ? describeQuantization(options) : quantize(options);
    if (json)
      std::printf("%s\n", result.dump(2).c_str());
    else if (dryRun)
      printPlan(result);
    else
      printSummary(result);
    flushStandardOutput();
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "fairy2-quantize: error: %s\n", error.what());
    return 1;
  }
}
