// SPDX-License-Identifier: Apache-2.0
//
// The field "fairy2" of config.json: as it is written it is read, and what is
// wrong in it is named.
#include "frontend/TrainedSchemeFile.h"
#include "test/unit/frontend/ConfigTest.h"

using namespace fairy2;
using nlohmann::json;

namespace {

using TrainedSchemeTest = ConfigTest;

TEST_F(TrainedSchemeTest, ConfigsThatSayNothingHaveNone) {
  EXPECT_FALSE(readWith("{}").trained);
  EXPECT_FALSE(readWith(R"({"fairy2": null})").trained);
}

TEST_F(TrainedSchemeTest, IsReadAsItIsWritten) {
  std::vector<TrainedScheme> schemes = {
      {},
      {.quantizesActivations = false},
      {.signs = SignScheme{SignMethod::TwoSigns, ScaleGranularity::Row}},
      {.signs = SignScheme{SignMethod::BitNet}, .quantizesHead = true}};
  for (StageScales stageScales : kStageScales)
    for (ScaleGrid grid : kScaleGrids)
      for (auto scales : {ScaleGranularity::Tensor, ScaleGranularity::Row,
                          ScaleGranularity::Tile})
        schemes.push_back(
            {.phases = PhaseScheme{3, scales, QuantizeMode::Canonical,
                                   stageScales, grid},
             .quantizesHead = true});
  for (const TrainedScheme &scheme : schemes) {
    const std::string text = json{{"fairy2", toJson(scheme)}}.dump();
    EXPECT_EQ(readWith(text).trained, scheme) << text;
  }
  const TrainedScheme row = {.phases = PhaseScheme{2, ScaleGranularity::Row}};
  EXPECT_EQ(toJson(row), json::parse(R"({"method": "complex_phase",
      "stages": 2, "scales": "row", "stage_scales": "mean",
      "scale_grid": "float", "activations": "int8", "lm_head": "keep"})"));
}

TEST_F(TrainedSchemeTest, FaultsAreNamed) {
  const json good = toJson({.phases = PhaseScheme{2, ScaleGranularity::Row}});
  const std::string field = "DIR/config.json: field 'fairy2";
  struct Bad {
    const char *patch, *error;
  };
  for (const auto &[patch, error] : std::vector<Bad>{
           {R"({"method": "complex"})",
            ".method': expected \"complex_phase\", \"bitnet\", \"ternary\", "
            "\"sign2\", \"int2\" or \"none\", found \"complex\""},
           {R"({"stages": 9})",
            ".stages': expected an integer from 1 to 8, found 9"},
           {R"({"scales": "column"})",
            ".scales': expected \"tensor\", \"row\" or \"tile\", found "
            "\"column\""},
           {R"({"stage_scales": 2})",
            ".stage_scales': expected a string, found 2"},
           {R"({"scale_grid": "int4"})",
            ".scale_grid': expected \"float\" or \"int8\", found \"int4\""},
           {R"({"activations": "int4"})",
            ".activations': expected \"float\" or \"int8\", found \"int4\""},
           {R"({"lm_head": "int8"})",
            ".lm_head': expected \"keep\" or \"quantize\", found \"int8\""},
           {R"({"stages": 7, "stage_scales": "binary", "scale_grid": "int8"})",
            "': expected at most 6 binary stages on the scale grid int8, or "
            "the grid float, found 7"},
           {R"({"method": "int2", "scales": "tile"})",
            ".scales': expected \"tensor\" or \"row\", found \"tile\""}}) {
    json bad = good;
    bad.update(json::parse(patch));
    EXPECT_EQ(errorWith(json{{"fairy2", bad}}.dump()), field + error);
  }
  EXPECT_EQ(errorWith(R"({"fairy2": "W2"})").substr(0, field.size()), field);
  json other = good;
  other["stage"] = 2;
  EXPECT_EQ(errorWith(json{{"fairy2", other}}.dump()).substr(0, field.size()),
            field);
}

} // namespace
