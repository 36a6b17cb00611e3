// SPDX-License-Identifier: Apache-2.0
//
// Launch examples and shipped recipes: they parse, and the launchers' own
// programs are replaced by ones that show what would run.
#include "runtime/support/File.h"
#include "test/unit/trainer/TinyModels.h"
#include "trainer/run/Plan.h"
#include "trainer/run/Recipe.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdio>
#include <cstdlib>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

const std::string kTrainer = FAIRY2_SOURCE_DIR "/trainer";

/// What stands for srun prints its environment and arguments.
TEST(ExamplesTest, SlurmSetsTheEnvironment) {
  const TemporaryFolder folder;
  folder.write("scontrol", "#!/bin/sh\necho node7\necho node8\n");
  folder.write("srun", "#!/bin/sh\n"
                       "echo $MASTER_ADDR $MASTER_PORT $OMP_NUM_THREADS $*\n");
  EXPECT_EQ(outputOf("chmod +x " + folder.path().string() +
                     "/s*; PATH=" + folder.path().string() +
                     ":$PATH SLURM_JOB_ID=41000 SLURM_JOB_NODELIST=node[7-8] "
                     "SLURM_CPUS_PER_TASK=3 bash " +
                     kTrainer + "/examples/slurm.sbatch r.yaml a=b"),
            "node7 21000 3 --kill-on-bad-exit=1 build/bin/fairy2-train r.yaml "
            "a=b\n");
}

TEST(ExamplesTest, SkyPilotSetsTheEnvironment) {
  const YAML::Node task = YAML::LoadFile(kTrainer + "/examples/sky.yaml");
  for (const char *key :
       {"name", "num_nodes", "workdir", "resources", "envs", "setup", "run"})
    EXPECT_TRUE(task[key]) << key;
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "build/bin");
  folder.write("build/bin/fairy2-train",
               "#!/bin/sh\n"
               "echo $RANK $WORLD_SIZE $MASTER_ADDR $MASTER_PORT $*\n");
  folder.write("run.sh", task["run"].as<std::string>());
  folder.write("setup.sh", task["setup"].as<std::string>());
  const std::string path = folder.path().string();
  outputOf("bash -n " + path + "/setup.sh");
  EXPECT_EQ(outputOf("cd " + path +
                     " && chmod +x build/bin/fairy2-train && "
                     "SKYPILOT_NUM_NODES=2 SKYPILOT_NODE_RANK=1 "
                     "SKYPILOT_NODE_IPS='10.0.0.1\n10.0.0.2' RECIPE=r.yaml "
                     "ARGUMENTS='a=b c=d' bash run.sh"),
            "1 2 10.0.0.1 29500 r.yaml a=b c=d\n");
}

/// --dry-run of every recipe, with a small model in place of its own, which may
/// not be here.
TEST(ExamplesTest, EveryRecipeIsPlanned) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "model");
  int recipes = 0;
  for (const auto &entry :
       std::filesystem::directory_iterator(kTrainer + "/recipes"))
    if (entry.path().extension() == ".yaml") {
      const Recipe recipe =
          Recipe::read(entry.path(), {"model=" + (folder / "model").string()});
      EXPECT_GT(recipe.steps(), 1) << entry.path();
      EXPECT_NE(describePlan(recipe, 1).find("memory of a rank"),
                std::string::npos)
          << entry.path();
      ++recipes;
    }
  EXPECT_GE(recipes, 8);
}

} // namespace
