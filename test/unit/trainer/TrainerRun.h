// SPDX-License-Identifier: Apache-2.0
//
// Whole runs of a tiny model in the test's own process.
#pragma once

#include "runtime/support/File.h"
#include "test/unit/trainer/TinyModels.h"
#include "trainer/TensorData.h"
#include "trainer/run/Trainer.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace fairy2::trainer {

/// One CPU level is enough to compare, and compiles in a quarter of the time.
#ifdef __x86_64__
inline constexpr const char *kOneLevel = " --target=x86-64-v2";
#else
inline constexpr const char *kOneLevel = "";
#endif

/// A recipe for a tiny model.
class TrainerRun : public testing::Test {
protected:
  TrainerRun() {
    writeTinyModel(folder / "model", ", \"tie_word_embeddings\": true");
    recipe.model = (folder / "model").string();
    recipe.output = (folder / "out").string();
    recipe.data.train = {{folder.write("train.txt", tinyText(400, 1)), 1, {}}};
    recipe.data.validation = folder.write("val.txt", tinyText(60, 2));
    recipe.data.sequenceLength = 48;
    recipe.train.batchSequences = 4;
    recipe.train.tokens = 40 * 4 * 48;
    recipe.train.learningRate = 1e-2;
  }

  /// The library of a run's export, made with the command that the run tells.
  std::string compiled(const Trainer &trainer) const {
    const std::string command = trainer.compileCommand();
    const auto arguments = command.find(' ');
    outputOf("cd " + folder.path().string() + " && " + FAIRY2_COMPILE +
             command.substr(arguments) + kOneLevel);
    return readWholeFile(folder / "model.so");
  }
  /// The same without the command's options: the export itself says what it was
  /// trained for.
  std::string compiledByItself() const {
    outputOf("cd " + folder.path().string() + " && " + FAIRY2_COMPILE + " " +
             recipe.output + " -o model.so" + kOneLevel);
    return readWholeFile(folder / "model.so");
  }
  /// NLL per token of the library that was compiled last.
  double compiledLoss() const {
    return nlohmann::json::parse(outputOf(
        std::string(FAIRY2_EVAL) + " " + (folder / "model.so").string() +
        " --json --text " + recipe.data.validation +
        " --chunk 48 --max-chunks 60"))["nll_per_token"]
        .get<double>();
  }

  std::vector<float> latentsOf(Trainer &trainer) {
    std::vector<float> all;
    for (const Parameter &parameter : trainer.model().parameters())
      all.insert(all.end(), floatsOf(parameter.latent),
                 floatsOf(parameter.latent) + parameter.latent.numel());
    return all;
  }

  TemporaryFolder folder;
  Recipe recipe;
};

} // namespace fairy2::trainer
