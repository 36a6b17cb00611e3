// SPDX-License-Identifier: Apache-2.0
//
// A changed cause changes the fingerprint, and nothing else does.
#include "trainer/run/Fingerprint.h"
#include "trainer/run/Sha256.h"

#include "test/unit/trainer/TinyModels.h"

#include <gtest/gtest.h>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

TEST(FingerprintTest, Sha256MatchesItsPublishedValue) {
  const TemporaryFolder folder;
  EXPECT_EQ(sha256OfFile(folder.write("a", "abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_NE(errorOf([&] {
              sha256OfFile(folder / "absent");
            }).find("absent: cannot open"),
            std::string::npos);
}

TEST(FingerprintTest, CountsWhatChangesTheResult) {
  const TemporaryFolder folder;
  writeTinyModel(folder / "model");
  Recipe recipe;
  recipe.model = (folder / "model").string();
  recipe.data.train = {{folder.write("a.txt", "text")}};
  const std::string before = fingerprintOf(recipe, 1);
  recipe.output = "elsewhere";
  recipe.train.saveEvery = 3;
  EXPECT_EQ(fingerprintOf(recipe, 1), before);
  EXPECT_NE(fingerprintOf(recipe, 2), before);
  // Two ranks with half of the sequences each do what one rank does.
  recipe.train.batchSequences /= 2;
  EXPECT_EQ(fingerprintOf(recipe, 2), before);
  recipe.train.batchSequences *= 2;
  folder.write("a.txt", "other");
  EXPECT_NE(fingerprintOf(recipe, 1), before);
  folder.write("a.txt", "text");
  EXPECT_EQ(fingerprintOf(recipe, 1), before);
  // A model that begins at random does not begin with the folder's weights.
  recipe.initialize = "random";
  const std::string random = fingerprintOf(recipe, 1);
  std::filesystem::remove(folder / "model" / "model.safetensors");
  EXPECT_EQ(fingerprintOf(recipe, 1), random);
  recipe.initialize = "checkpoint";
  EXPECT_NE(fingerprintOf(recipe, 1), before);
  recipe.train.clip = 3;
  EXPECT_NE(fingerprintOf(recipe, 1), before);
}

} // namespace
