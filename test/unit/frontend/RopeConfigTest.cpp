// SPDX-License-Identifier: Apache-2.0
//
// All spellings of rotary embeddings, bad ones as a table, and frequencies
// against their formulas.
#include "test/unit/frontend/ConfigTest.h"

#include "frontend/ConfigFields.h"

#include <algorithm>
#include <cmath>
#include <numbers>

using namespace fairy2;
using nlohmann::json;

namespace {

using RopeConfigTest = ConfigTest;

TEST_F(RopeConfigTest, RopeScalingInAllSpellings) {
  const RopeConfig linear =
      readWith(R"({"rope_scaling": {"type": "linear", "factor": 2.5}})").rope;
  EXPECT_EQ(linear.scaling, RopeConfig::Scaling::Linear);
  EXPECT_EQ(linear.factor, 2.5);
  EXPECT_EQ(
      readWith(R"({"rope_scaling": {"rope_type": "default"}})").rope.scaling,
      RopeConfig::Scaling::None);

  const std::string llama3 = R"("factor": 32, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192)";
  for (const std::string &patch :
       {R"({"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", )" +
            llama3 + "}}",
        R"({"rope_theta": 5e5, "rope_scaling": {"type": "llama3", )" + llama3 +
            "}}",
        R"({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, )" +
            llama3 + "}}"}) {
    const RopeConfig rope = readWith(patch).rope;
    EXPECT_EQ(rope.theta, 500000);
    EXPECT_EQ(rope.scaling, RopeConfig::Scaling::Llama3);
    EXPECT_EQ(rope.factor, 32);
    EXPECT_EQ(rope.lowFrequencyFactor, 1);
    EXPECT_EQ(rope.highFrequencyFactor, 4);
    EXPECT_EQ(rope.originalMaxPositions, 8192);
  }
  EXPECT_EQ(readWith(R"({"rope_parameters": {"rope_theta": 77}})").rope.theta,
            77);
}
INSTANTIATE_TEST_SUITE_P(
    Rope, BadConfigTest,
    testing::Values(
        BadConfig{"ThetaZero", R"({"rope_theta": 0})",
                  "rope_theta': " + kPositive + "0"},
        BadConfig{"ThetaText", R"({"rope_theta": "1e4"})",
                  "rope_theta': " + kPositive + "\"1e4\""},
        BadConfig{"ThetaBeyondFloat", R"({"rope_theta": 1e300})",
                  "rope_theta': expected a number in the range of float32, "
                  "found 1e+300"},
        BadConfig{"UnknownType",
                  R"({"rope_scaling": {"rope_type": "ntk", "factor": 2}})",
                  "rope_scaling.rope_type': expected default, linear, "
                  "dynamic, llama3, yarn or longrope, found \"ntk\""},
        BadConfig{"UnknownOldType",
                  R"({"rope_scaling": {"type": "su", "factor": 2}})",
                  "rope_scaling.type': expected default, linear, dynamic, "
                  "llama3, yarn or longrope, found \"su\""},
        BadConfig{"TypesDisagree",
                  R"({"rope_scaling": {"type": "linear",
                      "rope_type": "llama3", "factor": 2}})",
                  "rope_scaling.type': disagrees with 'rope_type'"},
        BadConfig{"NoType", R"({"rope_scaling": {"factor": 2}})",
                  "rope_scaling.type': is missing"},
        BadConfig{"NotAnObject", R"({"rope_scaling": "linear"})",
                  "rope_scaling': expected an object, found \"linear\""},
        BadConfig{"NoFactor", R"({"rope_scaling": {"type": "linear"}})",
                  "rope_scaling.factor': is missing"},
        BadConfig{"FactorZero",
                  R"({"rope_scaling": {"type": "linear", "factor": 0}})",
                  "rope_scaling.factor': " + kPositive + "0"},
        BadConfig{"FactorBelowOne",
                  R"({"rope_scaling": {"type": "linear", "factor": 0.5}})",
                  "rope_scaling.factor': expected a number from 1 up, found "
                  "0.5"},
        BadConfig{"Llama3WithoutLow",
                  R"({"rope_scaling": {"rope_type": "llama3", "factor": 8}})",
                  "rope_scaling.low_freq_factor': is missing"},
        BadConfig{"Llama3Order",
                  R"({"rope_scaling": {"rope_type": "llama3", "factor": 8,
                      "low_freq_factor": 4, "high_freq_factor": 4,
                      "original_max_position_embeddings": 8192}})",
                  "rope_scaling.high_freq_factor': expected more than "
                  "low_freq_factor, found 4"},
        BadConfig{"Llama3Positions",
                  R"({"rope_scaling": {"rope_type": "llama3", "factor": 8,
                      "low_freq_factor": 1, "high_freq_factor": 4,
                      "original_max_position_embeddings": 0}})",
                  "rope_scaling.original_max_position_embeddings': expected "
                  "an integer from 1 to 1073741824, found 0"},
        BadConfig{"ThetasDisagree",
                  R"({"rope_theta": 1e4,
                      "rope_parameters": {"rope_theta": 1e5}})",
                  "rope_parameters.rope_theta': disagrees with field "
                  "'rope_theta'"},
        BadConfig{"BothObjects",
                  R"({"rope_scaling": {"type": "linear", "factor": 2},
                      "rope_parameters": {"rope_type": "default"}})",
                  "rope_scaling.factor': disagrees with field "
                  "'rope_parameters.factor'"},
        BadConfig{"ByLayerType",
                  R"({"rope_parameters": {"full_attention":
                      {"rope_type": "default"}}})",
                  "rope_parameters.full_attention': rotary parameters by "
                  "layer type are not supported"},
        BadConfig{"UnknownMember",
                  R"({"rope_scaling": {"type": "linear", "factor": 2,
                      "mrope_section": [1, 2]}})",
                  std::string("rope_scaling.mrope_section': ") + kUnknownField},
        BadConfig{"DynamicWithoutFactor",
                  R"({"rope_scaling": {"type": "dynamic"}})",
                  "rope_scaling.factor': is missing"},
        BadConfig{"OriginalsDisagree",
                  R"({"original_max_position_embeddings": 64,
                      "rope_scaling": {"type": "yarn", "factor": 2,
                      "original_max_position_embeddings": 32}})",
                  "rope_scaling.original_max_position_embeddings': disagrees "
                  "with field 'original_max_position_embeddings'"},
        BadConfig{"YarnThetaOne",
                  R"({"rope_theta": 1,
                      "rope_scaling": {"type": "yarn", "factor": 2}})",
                  "rope_scaling.rope_theta': expected more than 1 for this "
                  "scaling, found 1.0"},
        BadConfig{"YarnScale",
                  R"({"rope_scaling": {"type": "yarn", "factor": 2,
                      "attention_factor": 1e7}})",
                  "rope_scaling.attention_factor': expected cosines scaled by "
                  "1e-6 to 1e6, found 10000000.0"},
        BadConfig{"YarnBeta",
                  R"({"rope_scaling": {"type": "yarn", "factor": 2,
                      "beta_fast": 0}})",
                  "rope_scaling.beta_fast': " + kPositive + "0"},
        BadConfig{"LongRopeShort",
                  R"({"rope_scaling": {"type": "longrope",
                      "short_factor": [1, 1], "long_factor": [1, 1, 1, 1]}})",
                  "rope_scaling.short_factor': expected a list of 4 numbers, "
                  "one per frequency, found a list of 2 values"},
        BadConfig{"LongRopeNoLong",
                  R"({"rope_scaling": {"type": "longrope",
                      "short_factor": [1, 1, 1, 1]}})",
                  "rope_scaling.long_factor': is missing"},
        BadConfig{"LongRopeZero",
                  R"({"rope_scaling": {"type": "longrope",
                      "short_factor": [1, 1, 1, 0],
                      "long_factor": [1, 1, 1, 1]}})",
                  "rope_scaling.short_factor': expected numbers from 1e-6 "
                  "to 1e6, found 0"},
        BadConfig{"PartialInObject",
                  R"({"rope_parameters": {"rope_type": "default",
                      "partial_rotary_factor": 0.5}})",
                  "rope_parameters.partial_rotary_factor': only 1 is "
                  "supported, found 0.5"}),
    [](const auto &info) { return info.param.name; });

/// One unit in the last place, for the power may differ from torch's by that.
void expectClose(float value, double expected) {
  EXPECT_NEAR(value, expected, expected * 3e-7);
}

TEST(RopeTest, PlainFrequenciesArePowersOfTheta) {
  RopeConfig rope;
  const std::vector<float> frequencies = rope.inverseFrequencies(8);
  ASSERT_EQ(frequencies.size(), 4u);
  EXPECT_EQ(frequencies[0], 1.f);
  expectClose(frequencies[1], 0.1);
  expectClose(frequencies[2], 0.01);
  expectClose(frequencies[3], 0.001);
}

TEST(RopeTest, LinearScalingDividesByTheFactor) {
  RopeConfig rope;
  const std::vector<float> plain = rope.inverseFrequencies(64);
  rope.scaling = RopeConfig::Scaling::Linear;
  rope.factor = 3;
  const std::vector<float> scaled = rope.inverseFrequencies(64);
  for (size_t i = 0; i < plain.size(); ++i)
    EXPECT_EQ(scaled[i], plain[i] / 3.f);
}

/// Llama 3.2's own numbers, against the formula in double precision.
TEST(RopeTest, Llama3ScalingHasThreeBands) {
  RopeConfig rope{.theta = 500000,
                  .scaling = RopeConfig::Scaling::Llama3,
                  .factor = 32,
                  .lowFrequencyFactor = 1,
                  .highFrequencyFactor = 4,
                  .originalMaxPositions = 8192};
  const std::vector<float> frequencies = rope.inverseFrequencies(64);
  int kept = 0, blended = 0, divided = 0;
  for (int i = 0; i < 32; ++i) {
    const double plain = std::pow(500000, -2.0 * i / 64);
    const double turns = 8192 * plain / (2 * std::numbers::pi);
    if (turns > 4) {
      expectClose(frequencies[i], plain);
      ++kept;
    } else if (turns < 1) {
      expectClose(frequencies[i], plain / 32);
      ++divided;
    } else {
      const double share = (turns - 1) / 3;
      EXPECT_NEAR(frequencies[i], (1 - share) * plain / 32 + share * plain,
                  plain * 1e-6);
      ++blended;
    }
  }
  EXPECT_EQ(kept, 15);
  EXPECT_EQ(blended, 3);
  EXPECT_EQ(divided, 14);
}

TEST(RopeTest, DynamicChangesNothingWithinTheModelsPositions) {
  RopeConfig rope;
  const std::vector<float> plain = rope.inverseFrequencies(64);
  rope.scaling = RopeConfig::Scaling::Dynamic;
  rope.factor = 4;
  EXPECT_EQ(rope.inverseFrequencies(64), plain);
}

/// The numbers of a Qwen2.5 with long context, against the formulas of arXiv
/// 2309.00071 in double precision.
TEST(RopeTest, YarnHasASlopeBetweenItsDimensions) {
  const RopeConfig rope{.theta = 1'000'000,
                        .scaling = RopeConfig::Scaling::Yarn,
                        .factor = 4,
                        .originalMaxPositions = 32768};
  const std::vector<float> frequencies = rope.inverseFrequencies(128);
  const auto dimension = [](double turns) {
    return 128 * std::log(32768 / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(1e6));
  };
  const double low = std::floor(dimension(32)), high = std::ceil(dimension(1));
  EXPECT_EQ(low, 23);
  EXPECT_EQ(high, 40);
  for (int i = 0; i < 64; ++i) {
    const double plain = std::pow(1e6, -2.0 * i / 128);
    const double ramp = std::clamp((i - low) / (high - low), 0.0, 1.0);
    EXPECT_NEAR(frequencies[i], plain * (1 - ramp) + plain / 4 * ramp,
                plain * 1e-6);
  }
}

TEST_F(RopeConfigTest, MagnitudesOfYarn) {
  const auto magnitude = [&](const std::string &members) {
    return readWith(R"({"rope_scaling": {"type": "yarn", "factor": 4)" +
                    members + "}}")
        .rope.magnitude;
  };
  EXPECT_DOUBLE_EQ(magnitude(""), 0.1 * std::log(4) + 1);
  EXPECT_EQ(magnitude(R"(, "attention_factor": 0.5)"), 0.5);
  EXPECT_DOUBLE_EQ(magnitude(R"(, "mscale": 2, "mscale_all_dim": 0.5)"),
                   (0.2 * std::log(4) + 1) / (0.05 * std::log(4) + 1));
  EXPECT_DOUBLE_EQ(magnitude(R"(, "mscale": 2)"), 0.1 * std::log(4) + 1);
}

/// Phi-3 gives the trained length beside the scaling, and calls LongRoPE su.
TEST_F(RopeConfigTest, LongRopeInAllSpellings) {
  const std::string lists = R"("short_factor": [1, 2, 3, 4],
                              "long_factor": [2, 4, 6, 8])";
  const std::string phi3 = R"({"architectures": ["Phi3ForCausalLM"],
    "model_type": "phi3", "max_position_embeddings": 131072, )";
  for (const std::string &patch :
       {phi3 + R"("rope_scaling": {"type": "su", )" + lists + "}}",
        phi3 + R"("rope_scaling": {"type": "yarn", )" + lists + "}}",
        phi3 + R"("original_max_position_embeddings": 4096,
                  "rope_parameters": {"rope_type": "longrope", )" +
            lists + "}}",
        R"({"max_position_embeddings": 131072,
            "rope_scaling": {"rope_type": "longrope", )" +
            lists + R"(, "original_max_position_embeddings": 4096}})"}) {
    const RopeConfig rope = readWith(patch).rope;
    EXPECT_EQ(rope.scaling, RopeConfig::Scaling::LongRope);
    EXPECT_EQ(rope.originalMaxPositions, 4096);
    EXPECT_DOUBLE_EQ(rope.magnitude,
                     std::sqrt(1 + std::log(32) / std::log(4096)));
    const std::vector<float> shorter = rope.inverseFrequencies(8),
                             longer = rope.longInverseFrequencies(8);
    for (int i = 0; i < 4; ++i) {
      expectClose(shorter[i], std::pow(1e4, -i / 4.0) / (i + 1));
      EXPECT_EQ(longer[i], shorter[i] / 2);
    }
  }
}

TEST_F(RopeConfigTest, Phi3TurnsAPartOfAHead) {
  const auto read = [&](const std::string &factor) {
    return R"({"architectures": ["Phi3ForCausalLM"], "model_type": "phi3",
               "partial_rotary_factor": )" +
           factor + "}";
  };
  EXPECT_EQ(readWith(read("0.75")).rope.rotaryDim(8), 6);
  EXPECT_EQ(readWith(read("0.75")).rope.inverseFrequencies(8).size(), 3u);
  EXPECT_EQ(errorWith(read("0.4")),
            "DIR/config.json: field 'partial_rotary_factor': expected a part "
            "of head_dim (8) that is an even number of features, found 0.4");
  EXPECT_EQ(errorWith(read("1.5")),
            "DIR/config.json: field 'partial_rotary_factor': expected a part "
            "of head_dim (8) that is an even number of features, found 1.5");
}

TEST_F(RopeConfigTest, Gemma3HasTwoInBothSpellings) {
  const std::string gemma3 = R"({"architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text", "num_key_value_heads": 4, )";
  for (const std::string &patch :
       {gemma3 + R"("rope_theta": 500, "rope_local_base_freq": 70,
                    "rope_scaling": {"rope_type": "linear", "factor": 8}})",
        gemma3 + R"("rope_parameters": {
           "full_attention": {"rope_type": "linear", "factor": 8,
                              "rope_theta": 500},
           "sliding_attention": {"rope_type": "default",
                                 "rope_theta": 70}}})"}) {
    const HFConfig config = readWith(patch);
    EXPECT_EQ(config.rope.theta, 500);
    EXPECT_EQ(config.rope.scaling, RopeConfig::Scaling::Linear);
    EXPECT_EQ(config.localRope->theta, 70);
    EXPECT_EQ(config.localRope->scaling, RopeConfig::Scaling::None);
    EXPECT_EQ(config.ropeOf(0), &*config.localRope);
  }
  const HFConfig plain = readWith(gemma3 + R"("made_up": null})");
  EXPECT_EQ(plain.rope.theta, 1'000'000);
  EXPECT_EQ(plain.localRope->theta, 10'000);
  EXPECT_EQ(errorWith(gemma3 + R"("rope_theta": 5, "rope_parameters": {}})"),
            "DIR/config.json: field 'rope_theta': expected nothing beside "
            "field 'rope_parameters'");
  EXPECT_EQ(errorWith(gemma3 + R"("rope_parameters": {"rope_theta": 5}})"),
            "DIR/config.json: field 'rope_parameters.rope_theta': expected "
            "full_attention and sliding_attention alone");
}

} // namespace
