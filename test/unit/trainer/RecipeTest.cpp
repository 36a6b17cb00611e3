// SPDX-License-Identifier: Apache-2.0
//
// Recipes read back, and a table of bad ones with their sentences.
#include "trainer/run/Recipe.h"

#include "test/unit/trainer/TinyModels.h"

#include <gtest/gtest.h>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

constexpr const char *kRecipe = R"(
model: m
output: o
method: complex_phase_v1
data:
  train: [a.txt, {path: b.jsonl, weight: 2.5}]
train:
  tokens: 3e6
  betas_typo: 1
)";

std::string withoutTypo() {
  std::string text = kRecipe;
  return text.replace(text.find("  betas_typo: 1\n"), 16, "");
}

TEST(RecipeTest, ReadsFileAndOverrides) {
  const TemporaryFolder folder;
  const std::string file = folder.write("r.yaml", withoutTypo());
  const Recipe recipe =
      Recipe::read(file, {"train.clip=0.5", "method=none", "data.train=c.txt",
                          "train.pieces=[[0, 1], [1, 0.5]]",
                          "data={sequence_length: 64, document_mask: true}"});
  EXPECT_EQ(recipe.model, "m");
  EXPECT_EQ(recipe.train.tokens, 3000000);
  EXPECT_EQ(recipe.train.clip, 0.5);
  EXPECT_EQ(recipe.method, "none");
  ASSERT_EQ(recipe.data.train.size(), 1u);
  EXPECT_EQ(recipe.data.train[0].path, "c.txt");
  EXPECT_EQ(recipe.data.sequenceLength, 64);
  EXPECT_TRUE(recipe.data.documentMask);
  EXPECT_EQ(recipe.train.pieces.size(), 2u);
  const Recipe plain = Recipe::read(file, {});
  ASSERT_EQ(plain.data.train.size(), 2u);
  EXPECT_EQ(plain.data.train[1].weight, 2.5);
  EXPECT_EQ(plain.toJson()["data.train"][1]["path"], "b.jsonl");
}

TEST(RecipeTest, BadInputIsNamed) {
  const TemporaryFolder folder;
  const std::string good = folder.write("good.yaml", withoutTypo());
  const std::string typo = folder.write("typo.yaml", kRecipe);
  const std::string broken = folder.write("broken.yaml", "a: [1");
  const std::string soft =
      folder.write("soft.yaml", withoutTypo() + "  anneal: 0.5\n");
  const std::string binary =
      folder.write("binary.yaml", withoutTypo() + "stage_scales: binary\n");
  const std::string grid =
      folder.write("grid.yaml", withoutTypo() + "scale_grid: int8\n");
  const std::string tile =
      folder.write("tile.yaml", withoutTypo() + "scales: tile\n");
  const std::string list = folder.write("list.yaml", "[1, 2]");
  const std::string twice =
      folder.write("twice.yaml", withoutTypo() + "train: {tokens: 4}\n");
  const std::string pair = folder.write("pair.yaml", "a: 1\n---\nb: 2\n");
  const std::string odd = folder.write("odd.yaml", "? [a, b]\n: 3\n");
  struct Case {
    std::string file, override, expected;
  };
  const Case cases[] = {
      {typo, "", "typo.yaml: unknown key 'train.betas_typo'"},
      {good, "train.learning_rat=1",
       "unknown key 'train.learning_rat'; did you mean "
       "'train.learning_rate'?"},
      {good, "train.tokens=many",
       "key 'train.tokens': expected an integer from 1 to"},
      {good, "train.tokens=0", "key 'train.tokens': expected an integer"},
      {good, "train.tokens=1.5", "key 'train.tokens': expected an integer"},
      {good, "train.tokens=.nan", "key 'train.tokens': expected an integer"},
      {good, "train.learning_rate=-1",
       "key 'train.learning_rate': expected a number from 0"},
      {good, "train.schedule=cosin",
       "key 'train.schedule': expected one of cosine, wsd, piecewise, found "
       "'cosin'"},
      {good, "train.schedule=piecewise", "key 'train.pieces' is missing"},
      {good, "train.anneal=1.1", "key 'train.anneal': expected a number from"},
      {good, "train.dampening=-1",
       "key 'train.dampening': expected a number from 0"},
      {good, "train.pieces=[[0.5, 1], [0.5, 0]]",
       "key 'train.pieces': expected a list"},
      {good, "data.train=[{path: a, weight: -1}]",
       "key 'data.train': expected a list of paths"},
      {good, "data.document_mask=perhaps",
       "key 'data.document_mask': expected true or false"},
      {good, "data={separator: none, document_mask: true}",
       "key 'data.document_mask': expected false where"},
      {good, "model=", "key 'model' is missing"},
      {good, "nonsense", "overrides: expected key=value, found 'nonsense'"},
      {good, "data=3", "unknown key 'data'"},
      {soft, "method=int2",
       "soft.yaml: key 'train.anneal': expected 0 with method int2, whose "
       "codes do not soften"},
      {soft, "method=none", "key 'train.anneal': expected 0 with method none"},
      {soft, "train.device=cuda",
       "key 'train.anneal': expected 0 where train.device is cuda, for which "
       "soft codes are not here yet"},
      {soft, "stage_scales=binary",
       "key 'train.anneal': expected 0 where stage scales are binary on the "
       "grid int8, whose codes do not soften"},
      {soft, "scale_grid=int8",
       "key 'train.anneal': expected 0 where stage scales are mean on the grid "
       "int8, whose codes do not soften"},
      {good, "stage_scales=bin",
       "key 'stage_scales': expected one of mean, binary, found 'bin'"},
      {good, "scale_grid=int4",
       "key 'scale_grid': expected one of auto, int8, float, found 'int4'"},
      {binary, "method=int2",
       "binary.yaml: stage_scales: expected mean with method int2, found "
       "binary"},
      {binary, "method=none",
       "stage_scales: expected mean with method none, found binary"},
      {grid, "method=sign2",
       "grid.yaml: scale_grid: expected auto with method sign2, found int8"},
      {tile, "method=ternary",
       "tile.yaml: scales: expected tensor or row with method ternary, found "
       "tile"},
      {broken, "", "broken.yaml: not YAML: "},
      {twice, "", "twice.yaml: key 'train.tokens' is there twice"},
      {good, "train={clip: 1, clip: 2}", "key 'train.clip' is there twice"},
      {pair, "", "pair.yaml: expected one YAML document, found 2"},
      {odd, "", "odd.yaml: expected a name before a colon, found '[a, b]'"},
      {good, "output=a\xff", "key 'output': expected text in UTF-8"},
      {good, "output=\"a\\0b\"", "key 'output': expected text in UTF-8"},
      {good, "data.train=a\xff", "key 'data.train': expected a list of paths"},
      {good, "data.train=[{path: a, where: {b: c\xff}}]",
       "key 'data.train': expected a list of paths"},
      {good, "data.train=[{path: a, path: b}]",
       "key 'data.train': expected a list of paths"},
      {good, "data=&a {data: *a}", "unknown key 'data.data'"},
      {list, "", "list.yaml: expected keys and values"},
      {folder.path() / "absent.yaml", "", "absent.yaml"},
  };
  for (const Case &c : cases) {
    std::vector<std::string> overrides;
    if (!c.override.empty())
      overrides.push_back(c.override);
    const std::string message =
        errorOf([&] { Recipe::read(c.file, overrides); });
    EXPECT_NE(message.find(c.expected), std::string::npos)
        << "found: " << message << "\nexpected: " << c.expected;
  }
}

/// What the repository ships can be read.
TEST(RecipeTest, ShippedRecipesAreGood) {
  const std::filesystem::path folder =
      std::filesystem::path(FAIRY2_SOURCE_DIR) / "trainer/recipes";
  int count = 0;
  for (const auto &entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".yaml") {
      ++count;
      EXPECT_EQ(errorOf([&] { Recipe::read(entry.path(), {}); }), "no error");
    }
  EXPECT_GE(count, 2);
}

} // namespace
