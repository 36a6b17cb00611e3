// SPDX-License-Identifier: Apache-2.0
//
// A short training of a tiny model of each architecture, to the compiled
// export, and its calibrated codes.
#include "frontend/Synthesize.h"
#include "runtime/support/Json.h"
#include "test/unit/trainer/TinyModels.h"
#include "trainer/quantize/Quantizer.h"
#include "trainer/run/Trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

using namespace fairy2;
using namespace fairy2::trainer;
namespace fs = std::filesystem;

namespace {

#ifdef __x86_64__
constexpr const char *kOneLevel = " --target=x86-64-v2";
#else
constexpr const char *kOneLevel = "";
#endif

const fs::path kGolden = FAIRY2_SOURCE_DIR "/test/frontend/golden/Inputs";

/// The first golden case of each architecture.
std::vector<std::string> goldenCases() {
  std::map<std::string, std::string> cases;
  for (const auto &entry : fs::directory_iterator(kGolden)) {
    const std::string name = entry.path().filename();
    std::string &first = cases[HFConfig::read(entry.path()).architecture];
    first = first.empty() ? name : std::min(first, name);
  }
  std::vector<std::string> names;
  for (const auto &[architecture, name] : cases)
    names.push_back(name);
  return names;
}

/// By the golden case whose config.json it is of.
class EveryArchitectureTest : public testing::TestWithParam<std::string> {
protected:
  EveryArchitectureTest() {
    nlohmann::json config = readJson(kGolden / GetParam() / "config.json");
    config["vocab_size"] = 264;
    config["bos_token_id"] = 1;
    config["eos_token_id"] = 2;
    SynthesizeOptions options;
    options.byteTokenizer = true;
    synthesizeCheckpoint(folder.write("config.json", config.dump()),
                         folder / "model", options);
    recipe.model = (folder / "model").string();
    recipe.data.train = {{folder.write("train.txt", tinyText(100, 1)), 1, {}}};
    recipe.data.validation = folder.write("val.txt", tinyText(20, 2));
    recipe.data.sequenceLength = 24;
    recipe.train.batchSequences = 4;
    recipe.train.warmup = 0;
    recipe.train.learningRate = 1e-2;
    recipe.exportOptions.type = "BF16";
  }

  /// Of a model compiled with these options.
  double compiledLoss(const std::string &model,
                      const std::string &options = "") const {
    return lossOf(std::string(" ") + model + " -o model.so " + options);
  }
  double compiledLoss(const Trainer &trainer) const {
    const std::string command = trainer.compileCommand();
    return lossOf(command.substr(command.find(' ')));
  }

  TemporaryFolder folder;
  Recipe recipe;

private:
  double lossOf(const std::string &arguments) const {
    outputOf("cd " + folder.path().string() + " && " + FAIRY2_COMPILE +
             arguments + kOneLevel +
             // As the trainer has it.
             " --embedding=keep");
    return nlohmann::json::parse(outputOf(
        std::string(FAIRY2_EVAL) + " " + (folder / "model.so").string() +
        " --json --text " + recipe.data.validation +
        " --chunk 24"))["nll_per_token"]
        .get<double>();
  }
};

TEST_P(EveryArchitectureTest, ItsExportCompilesToEqualLoss) {
  for (const char *method : {"none", "complex_phase_v2"}) {
    recipe.method = method;
    recipe.output = (folder / method).string();
    recipe.train.tokens = 2 * 4 * 24;
    Trainer trainer(recipe);
    const double before = trainer.validate().value();
    const double after = trainer.run().validationLoss.value();
    EXPECT_LT(after, before) << method;
    // Float activations and cache against an int8 grid and float16.
    const double share = recipe.method == "none" ? 5e-4 : 5e-3;
    EXPECT_NEAR(compiledLoss(trainer), after, share * after) << method;
  }
}

TEST_P(EveryArchitectureTest, ItsCodedFormCompilesToNearlyEqualLoss) {
  QuantizeOptions options;
  options.model = recipe.model;
  options.calibration = {recipe.data.train[0].path};
  options.output = (folder / "coded").string();
  options.stages = 6;
  options.tokens = options.gradientTokens = 1024;
  const nlohmann::ordered_json summary = quantize(options);
  EXPECT_LT(summary["all"]["metric_error"], 1e-3);
  const double exact = compiledLoss(recipe.model, "--method=none");
  EXPECT_NEAR(compiledLoss(options.output), exact, 5e-3 * exact);
}

INSTANTIATE_TEST_SUITE_P(All, EveryArchitectureTest,
                         testing::ValuesIn(goldenCases()),
                         [](const auto &info) { return info.param; });

} // namespace
