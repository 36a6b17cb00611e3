// SPDX-License-Identifier: Apache-2.0
//
// fairy2-train: trains a model that survives quantization.
#include "runtime/support/StandardStreams.h"
#include "runtime/support/Unfinished.h"
#include "tools/ModelFolderFlags.h"
#include "tools/ParsingEnd.h"
#include "tools/Validators.h"
#include "tools/fairy2-train/Tokenize.h"
#include "trainer/Device.h"
#include "trainer/distributed/Launcher.h"
#include "trainer/run/Memory.h"
#include "trainer/run/Plan.h"
#include "trainer/run/RunFolder.h"
#include "trainer/run/Trainer.h"

#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string_view>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

constexpr int64_t kSmokeSteps = 10;

volatile std::sig_atomic_t stopAsked = 0;

/// The state is saved after the step, which may take long: who presses Ctrl-C
/// again does not want to wait. Two signals at once are one wish: a terminal
/// sends one to every process, and so does the launcher.
void askToStop(int signal) {
  static time_t askedAt = 0;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  if (!stopAsked)
    askedAt = now.tv_sec;
  else if (signal == SIGINT && now.tv_sec - askedAt >= 2) {
    std::signal(SIGINT, SIG_DFL);
    cleanUpOnSignals();
    ::raise(SIGINT);
  }
  stopAsked = 1;
}

int train(const Recipe &recipe, int64_t mostSteps, bool smoke) {
  returnFreedTensors();
  const at::Device device =
      openDevice(recipe.train.device, Communicator::localRankFromEnvironment());
  Trainer trainer(recipe, Communicator::fromEnvironment(device));
  // Each smoke test begins anew.
  if (smoke && trainer.leads())
    RunFolder(recipe.output).removeEarlierRun();
  // Until here there is nothing to save, and signals end the program.
  std::signal(SIGTERM, askToStop);
  std::signal(SIGINT, askToStop);
  if (std::signal(SIGHUP, SIG_IGN) != SIG_IGN) // nohup's, which stays
    std::signal(SIGHUP, askToStop);
  int64_t steps = 0;
  const RunResult result =
      trainer.run([&] { return stopAsked != 0 || ++steps == mostSteps; });
  const bool leads = trainer.leads();
  if (!result.finished)
    return kStoppedExit;
  if (!leads)
    return 0;
  if (result.before)
    std::printf("this run is over already\n");
  if (result.validationLoss)
    std::printf("validation loss: %.5f\n", *result.validationLoss);
  if (!result.before)
    std::printf("peak memory of rank 0: %lld MiB\n",
                (long long)peakResidentBytes() >> 20);
  std::printf("exported to %s\n%s\n", recipe.output.c_str(),
              trainer.compileCommand().c_str());
  flushStandardOutput();
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  openStandardStreams();
  cleanUpOnSignals();
  if (argc > 1 && std::string_view(argv[1]) == "tokenize")
    return tokenizeMain(argc - 1, argv + 1);
  CLI::App app("Train a Hugging Face model so that its linear layers hold at "
               "few bits.");
  app.set_version_flag("--version", "fairy2-train " FAIRY2_VERSION);
  app.footer(
      "Example: fairy2-train trainer/recipes/demo.yaml "
      "train.tokens=1e6 output=/tmp/demo\n"
      "fairy2-train tokenize --help tells how to tokenize text once.\n"
      "Exit status: 0 done, 1 error, 2 bad command line, 3 stopped by "
      "SIGTERM, SIGHUP, SIGINT (Ctrl-C; again ends it without) or --stop-after "
      "with its state saved.");
  std::string file;
  std::vector<std::string> overrides;
  bool dryRun = false, smoke = false;
  int processes = 1;
  int64_t mostSteps = 0;
  app.add_option("recipe", file, "The run, in YAML")
      ->required()
      ->type_name("RECIPE.yaml");
  app.add_option("overrides", overrides, "Recipe keys to set")
      ->type_name("key=value");
  app.add_flag("--dry-run", dryRun,
               "Print size, memory, steps and time of the run, and stop");
  app.add_flag(
      "--smoke", smoke,
      "Do 10 steps in place of all, in the folder smoke of the output");
  ModelFolderRules rules;
  addModelFolderFlags(app, rules);
  app.add_option("--stop-after", mostSteps,
                 "Steps after which to save and stop, exit status 3")
      ->check(wholeNumber<int64_t>(1, int64_t(1) << 50));
  app.add_option("--nproc", processes,
                 "Processes on this machine that share each step's sequences")
      ->check(wholeNumber<int32_t>(1, 1024))
      ->capture_default_str();
  readPaddedNumbers(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return endParsing(app, error, "fairy2-train");
  }
  try {
    Recipe recipe = Recipe::read(file, overrides);
    recipe.folderRules = rules;
    const int64_t ranks =
        processes > 1 ? processes : Communicator::sizeFromEnvironment();
    if (smoke) {
      recipe.train.tokens = kSmokeSteps * recipe.tokensPerStep() * ranks;
      // Where nothing of it is in the real run's way.
      recipe.output = (std::filesystem::path(recipe.output) / "smoke").string();
    }
    if (dryRun) {
      std::fputs(describePlan(recipe, ranks).c_str(), stdout);
      flushStandardOutput();
      return 0;
    }
    if (processes > 1 && !std::getenv("RANK"))
      return launch(processes, argv);
    return train(recipe, mostSteps, smoke);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "fairy2-train: error: %s\n", error.what());
    return 1;
  }
}
