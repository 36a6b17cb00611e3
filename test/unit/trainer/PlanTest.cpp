// SPDX-License-Identifier: Apache-2.0
//
// Memory and figures of --dry-run, for models whose sizes are known.
#include "trainer/run/Plan.h"

#include "test/unit/trainer/TinyModels.h"
#include "trainer/model/Model.h"

#include <gtest/gtest.h>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

TEST(PlanTest, CountsAreThoseOfTheModel) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "model");
  Recipe recipe;
  recipe.model = (folder / "model").string();
  recipe.train.tokens = 100'000;
  const Model model = Model::load(recipe.model);
  const MemoryPlan plan = planMemory(model.config(), recipe, 1);
  EXPECT_EQ(plan.latents, 4 * model.parameterCount());
  EXPECT_EQ(plan.gradients + plan.optimizer, 3 * plan.latents);
  int64_t quantized = 0;
  for (const Parameter &parameter : model.parameters())
    if (parameter.isMatrix())
      quantized += 4 * parameter.count();
  EXPECT_EQ(plan.quantized, quantized);
  EXPECT_EQ(planMemory(model.config(), recipe, 1, &model.config()).teacher,
            plan.latents);
  recipe.method = "none";
  EXPECT_EQ(planMemory(model.config(), recipe, 1).quantized, 0);
  const std::string text = describePlan(recipe, 1);
  EXPECT_EQ(text.find("\nscales "), std::string::npos) << text;
  recipe.method = "complex_phase_v3";
  recipe.scales = "row";
  recipe.stageScales = "binary";
  EXPECT_NE(
      describePlan(recipe, 1).find(
          "scales                 per row; of stages binary, grid int8\n"),
      std::string::npos);
  recipe.method = "int2";
  recipe.stageScales = "mean";
  EXPECT_NE(describePlan(recipe, 1).find("scales                 per row\n"),
            std::string::npos);
  recipe.teacher.model = (folder / "teacher").string();
  EXPECT_NE(describePlan(recipe, 1).find("teacher is not here yet"),
            std::string::npos);
  EXPECT_NE(text.find("parameters             " +
                      std::to_string(model.parameterCount())),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("48 of 2048 tokens"), std::string::npos) << text;
  EXPECT_NE(text.find("bits                   32.000 per parameter"),
            std::string::npos)
      << text;
}

/// AdamW's state takes 12 bytes of each parameter. A run of 10 steps that saves
/// every 4 writes 3 states; one goes when the next is complete.
TEST(PlanTest, StatesAndExportTakeDiskSpace) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "model");
  Recipe recipe;
  recipe.model = (folder / "model").string();
  const Model model = Model::load(recipe.model);
  const int64_t parameters = model.parameterCount();
  const auto plan = [&] { return planDisk(model.config(), recipe, 10); };
  recipe.train.saveEvery = 0;
  EXPECT_EQ(plan().total(), (12 + 4) * parameters);
  recipe.train.saveEvery = 4;
  EXPECT_EQ(plan().total(), (3 * 12 + 4) * parameters);
  recipe.train.keepLast = 1;
  recipe.exportOptions.type = "BF16";
  EXPECT_EQ(plan().total(), (2 * 12 + 2) * parameters);
}

/// Llama-2-7B fits eight ranks of 40 GB with ZeRO-3, and one of 141 GB without
/// does not hold it.
TEST(PlanTest, SevenBillionParametersFitEightRanks) {
  const TemporaryFolder folder;
  const std::string file = folder.write("config.json", R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000,
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
    "hidden_act": "silu", "tie_word_embeddings": false})");
  const HFConfig config = HFConfig::readFile(file);
  Recipe recipe;
  recipe.train.batchSequences = 1;
  recipe.data.sequenceLength = 2048;
  const double gigabyte = 1e9;
  EXPECT_GT(double(planMemory(config, recipe, 8).total()), 130 * gigabyte);
  recipe.train.sharding = "zero3";
  const MemoryPlan plan = planMemory(config, recipe, 8);
  EXPECT_LT(double(plan.total()), 40 * gigabyte);
  EXPECT_NEAR(double(plan.latents), 6.738e9 * 4 / 8, 1e6);
  EXPECT_EQ(plan.latents, plan.gradients);
}

} // namespace
