// SPDX-License-Identifier: Apache-2.0
#include "trainer/Plan.h"

#include "TestFiles.h"
#include "trainer/Model.h"

#include <gtest/gtest.h>

using namespace fairy2;

namespace {

TEST(PlanTest, CountsAreThoseOfTheModel) {
  const TestFolder folder;
  writeTinyModel(folder / "model");
  Recipe recipe;
  recipe.model = (folder / "model").string();
  recipe.train.tokens = 100'000;
  const Model model = Model::load(recipe.model);
  const MemoryPlan plan = planMemory(model.config(), recipe);
  EXPECT_EQ(plan.latents, 4 * model.parameterCount());
  EXPECT_EQ(plan.gradients + plan.moments, 3 * plan.latents);
  int64_t quantized = 0;
  for (const Parameter &parameter : model.parameters())
    if (parameter.isLinear)
      quantized += 4 * parameter.count();
  EXPECT_EQ(plan.quantized, quantized);
  recipe.method = "none";
  EXPECT_EQ(planMemory(model.config(), recipe).quantized, 0);
  const std::string text = describePlan(recipe);
  EXPECT_NE(text.find("parameters             " +
                      std::to_string(model.parameterCount())),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("48 of 2048 tokens"), std::string::npos) << text;
}

} // namespace
