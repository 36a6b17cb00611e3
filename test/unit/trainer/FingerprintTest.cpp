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

class IdentityTest : public testing::Test {
protected:
  IdentityTest() {
    writeTinyModel(folder / "model");
    recipe.model = (folder / "model").string();
    recipe.data.train = {{folder.write("a.txt", "text"), 1, {}}};
  }
  std::string print(int processes = 1) const {
    return identityOf(recipe, processes).fingerprint;
  }

  TemporaryFolder folder;
  Recipe recipe;
};

TEST_F(IdentityTest, CountsWhatChangesTheResult) {
  const std::string before = print();
  recipe.output = "elsewhere";
  recipe.train.saveEvery = 3;
  recipe.train.keepLast = 7;
  recipe.train.maxBadSteps = 1;
  recipe.train.recompute = true;
  recipe.exportOptions = {"packed", "BF16"};
  recipe.data.validation = folder.write("val.txt", "other");
  recipe.data.validationPieces = 3;
  EXPECT_EQ(print(), before);
  EXPECT_NE(print(2), before);
  // Two ranks with half of the sequences each do what one rank does.
  recipe.train.batchSequences /= 2;
  EXPECT_EQ(print(2), before);
  recipe.train.batchSequences *= 2;
  folder.write("a.txt", "other");
  EXPECT_NE(print(), before);
  folder.write("a.txt", "text");
  EXPECT_EQ(print(), before);
  recipe.data.train[0].weight = 2;
  EXPECT_NE(print(), before);
  recipe.data.train[0].weight = 1;
  // What a text's tokens are is spread over several files.
  folder.write("model/added_tokens.json", "{}");
  EXPECT_NE(print(), before);
  std::filesystem::remove(folder / "model" / "added_tokens.json");
  EXPECT_EQ(print(), before);
  // A model that begins at random does not begin with the folder's weights.
  recipe.initialize = "random";
  const std::string random = print();
  std::filesystem::remove(folder / "model" / "model.safetensors");
  EXPECT_EQ(print(), random);
  recipe.initialize = "checkpoint";
  EXPECT_NE(print(), before);
  recipe.stageScales = "binary";
  EXPECT_NE(print(), before);
  recipe.stageScales = "mean";
  recipe.scaleGrid = "int8";
  EXPECT_NE(print(), before);
  recipe.scaleGrid = "auto";
  recipe.train.clip = 3;
  EXPECT_NE(print(), before);
}

/// The same content in another place is the same run.
TEST_F(IdentityTest, FoldersMayMove) {
  const std::string before = print();
  std::filesystem::rename(folder / "model", folder / "moved");
  recipe.model = (folder / "moved").string();
  recipe.data.train[0].path = folder.write("b.txt", "text");
  EXPECT_EQ(print(), before);
}

TEST_F(IdentityTest, DifferencesAreNamed) {
  const RunIdentity before = identityOf(recipe, 1);
  EXPECT_EQ(differences(before.parts, before.parts), "");
  recipe.train.clip = 0.5;
  recipe.stageScales = "binary";
  folder.write("a.txt", "other");
  EXPECT_EQ(differences(before.parts, identityOf(recipe, 1).parts),
            "data.train[0] differs, stage_scales was \"mean\" and is "
            "\"binary\", train.clip was 1.0 and is 0.5");
}

/// A hash is looked up for a file that has not changed, and no other.
TEST_F(IdentityTest, HashesAreKept) {
  const RunIdentity first = identityOf(recipe, 1);
  const std::string data = recipe.data.train[0].path;
  EXPECT_EQ(first.hashes.size(), 4u);
  nlohmann::ordered_json marked = first.hashes;
  marked[data]["sha256"] = "kept";
  const std::string cache = folder.write("hashes.json", marked.dump());
  EXPECT_EQ(identityOf(recipe, 1, cache).hashes[data]["sha256"], "kept");
  // Of as many bytes, at what looks like the same time.
  const auto time = std::filesystem::last_write_time(data);
  folder.write("a.txt", "tex2");
  std::filesystem::last_write_time(data, time);
  EXPECT_EQ(identityOf(recipe, 1, cache).fingerprint, print());
  folder.write("hashes.json", "{broken");
  EXPECT_EQ(identityOf(recipe, 1, cache).fingerprint, print());
}

} // namespace
