// SPDX-License-Identifier: Apache-2.0
//
// Good configurations field by field, bad ones as a table, the real ones of the
// shared data folder, and rotary frequencies against their formulas.
#include "frontend/HFConfig.h"

#include "test/unit/frontend/TestFiles.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <numbers>

using namespace fairy2;
using nlohmann::json;

namespace {

constexpr char kGood[] = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama",
  "hidden_size": 64, "intermediate_size": 172, "num_hidden_layers": 5,
  "num_attention_heads": 8, "vocab_size": 512, "torch_dtype": "float16",
  "attention_dropout": 0.0, "initializer_range": 0.02, "use_cache": true,
  "pad_token_id": -1, "transformers_version": "4.45.0"})";

class HFConfigTest : public testing::Test {
protected:
  /// Writes the good config with the members of `patch` set, and reads it.
  HFConfig readWith(const std::string &patch) const {
    json config = json::parse(kGood);
    config.update(json::parse(patch));
    folder.write("config.json", config.dump());
    return HFConfig::read(folder.path(), HFConfig::knownArchitectures());
  }
  std::string errorWith(const std::string &patch) const {
    return folder.errorOf([&] { readWith(patch); });
  }
  std::string errorOfText(const std::string &text) const {
    folder.write("config.json", text);
    return folder.errorOf([&] { HFConfig::read(folder.path()); });
  }
  const TemporaryFolder folder;
};

TEST_F(HFConfigTest, AbsentFieldsTakeLlamasDefaults) {
  const HFConfig config = readWith("{}");
  EXPECT_EQ(config.architecture, "LlamaForCausalLM");
  EXPECT_EQ(config.modelType, "llama");
  EXPECT_EQ(config.hiddenSize, 64);
  EXPECT_EQ(config.intermediateSize, 172);
  EXPECT_EQ(config.layers, 5);
  EXPECT_EQ(config.heads, 8);
  EXPECT_EQ(config.kvHeads, 8);
  EXPECT_EQ(config.headDim, 8);
  EXPECT_EQ(config.vocabSize, 512);
  EXPECT_EQ(config.maxPositions, 2048);
  EXPECT_EQ(config.rmsNormEpsilon, 1e-6);
  EXPECT_EQ(config.hiddenActivation, "silu");
  EXPECT_FALSE(config.attentionBias || config.attentionOutputBias ||
               config.mlpBias || config.qkNorm || config.tieWordEmbeddings);
  EXPECT_FALSE(config.slidingWindow);
  EXPECT_EQ(config.rope.theta, 10000);
  EXPECT_EQ(config.rope.scaling, RopeConfig::Scaling::None);
  EXPECT_EQ(config.bosToken, 1);
  EXPECT_EQ(config.eosTokens, std::vector<int64_t>{2});
  EXPECT_EQ(config.declaredType, DType::F16);
}

TEST_F(HFConfigTest, GivenFieldsAreRead) {
  const HFConfig config = readWith(R"({
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 99,
    "rms_norm_eps": 0.5, "hidden_act": "silu", "attention_bias": true,
    "mlp_bias": true, "tie_word_embeddings": true, "rope_theta": 500000,
    "bos_token_id": 7, "eos_token_id": [3, 4], "dtype": "bfloat16",
    "layer_types": ["full_attention", "full_attention"]})");
  EXPECT_EQ(config.kvHeads, 2);
  EXPECT_EQ(config.headDim, 16);
  EXPECT_EQ(config.maxPositions, 99);
  EXPECT_EQ(config.rmsNormEpsilon, 0.5);
  EXPECT_TRUE(config.attentionBias && config.attentionOutputBias &&
              config.mlpBias && config.tieWordEmbeddings);
  EXPECT_EQ(config.rope.theta, 500000);
  EXPECT_EQ(config.bosToken, 7);
  EXPECT_EQ(config.eosTokens, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(config.declaredType, DType::BF16);
}

TEST_F(HFConfigTest, NullMeansAbsentButNoSpecialToken) {
  const HFConfig config = readWith(R"({"num_key_value_heads": null,
    "head_dim": null, "rope_scaling": null, "sliding_window": null,
    "quantization_config": null, "bos_token_id": null, "eos_token_id": null,
    "logit_scale": null})");
  EXPECT_EQ(config.kvHeads, 8);
  EXPECT_EQ(config.headDim, 8);
  EXPECT_FALSE(config.bosToken);
  EXPECT_TRUE(config.eosTokens.empty());
}

/// With head_dim given, hidden_size may be anything, odd numbers included.
TEST_F(HFConfigTest, HiddenSizeMayBeOdd) {
  EXPECT_EQ(readWith(R"({"hidden_size": 65, "head_dim": 8})").hiddenSize, 65);
}

TEST_F(HFConfigTest, HarmlessValuesOfForeignFieldsPass) {
  EXPECT_EQ(errorWith(R"({"logit_scale": 1.0, "pretraining_tp": 1,
    "partial_rotary_factor": 1.0, "qk_norm": false, "mlp_only_layers": [],
    "use_sliding_window": false, "rope_interleaved": false,
    "auto_map": {"AutoConfig": "x.Y"}, "made_up": {"by": "someone"}})"),
            "no error");
}

TEST_F(HFConfigTest, GenerationConfigNamesTheEndTokens) {
  folder.write("generation_config.json", R"({"eos_token_id": [5, 6]})");
  EXPECT_EQ(readWith("{}").eosTokens, (std::vector<int64_t>{5, 6}));
  folder.write("generation_config.json", R"({"eos_token_id": 9})");
  EXPECT_EQ(readWith("{}").eosTokens, std::vector<int64_t>{9});
  folder.write("generation_config.json", R"({"do_sample": true})");
  EXPECT_EQ(readWith("{}").eosTokens, std::vector<int64_t>{2});
  folder.write("generation_config.json", R"({"eos_token_id": [5, 512]})");
  EXPECT_EQ(errorWith("{}"), "DIR/generation_config.json: field "
                             "'eos_token_id': expected an integer from 0 to "
                             "511, found 512");
}

TEST_F(HFConfigTest, RopeScalingInAllSpellings) {
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

TEST_F(HFConfigTest, OtherArchitecturesDifferWhereTheyShould) {
  const auto patch = [](const char *name, const char *type,
                        const std::string &rest) {
    return R"({"architectures": [")" + std::string(name) +
           R"("], "model_type": ")" + type + R"(", "num_key_value_heads": 4)" +
           rest + "}";
  };
  const HFConfig mistral = readWith(patch("MistralForCausalLM", "mistral", ""));
  EXPECT_FALSE(mistral.attentionBias);
  EXPECT_EQ(mistral.slidingWindow, 4096);
  EXPECT_FALSE(readWith(patch("MistralForCausalLM", "mistral",
                              R"(, "sliding_window": null)"))
                   .slidingWindow);
  EXPECT_EQ(readWith(patch("MistralForCausalLM", "mistral",
                           R"(, "sliding_window": 16)"))
                .slidingWindow,
            16);
  const HFConfig qwen2 =
      readWith(patch("Qwen2ForCausalLM", "qwen2",
                     R"(, "sliding_window": 9, "use_sliding_window": false)"));
  EXPECT_TRUE(qwen2.attentionBias);
  EXPECT_FALSE(qwen2.attentionOutputBias || qwen2.slidingWindow);
  EXPECT_FALSE(qwen2.bosToken);
  EXPECT_TRUE(qwen2.eosTokens.empty());
  const HFConfig qwen3 = readWith(
      patch("Qwen3ForCausalLM", "qwen3", R"(, "attention_bias": true)"));
  EXPECT_TRUE(qwen3.qkNorm && qwen3.attentionBias && qwen3.attentionOutputBias);
  EXPECT_EQ(qwen3.headDim, 128);
  EXPECT_EQ(errorWith(patch("Qwen2ForCausalLM", "qwen2",
                            R"(, "use_sliding_window": true)")),
            "DIR/config.json: field 'use_sliding_window': only false is "
            "supported, found true");
  EXPECT_EQ(errorWith(patch("Qwen2ForCausalLM", "qwen2",
                            R"(, "attention_bias": false)")),
            "DIR/config.json: field 'attention_bias': expected true, found "
            "false");
}

TEST_F(HFConfigTest, WhatTheCallerSupportsDecides) {
  folder.write("config.json", kGood);
  const auto error = [&](const std::vector<std::string> &supported) {
    return folder.errorOf([&] { HFConfig::read(folder.path(), supported); });
  };
  EXPECT_EQ(error({"LlamaForCausalLM"}), "no error");
  EXPECT_EQ(error({"Qwen2ForCausalLM", "Qwen3ForCausalLM"}),
            "DIR/config.json: field 'architectures': expected "
            "Qwen2ForCausalLM, Qwen3ForCausalLM, found \"LlamaForCausalLM\"");
}

TEST_F(HFConfigTest, BrokenFilesAreRefused) {
  const std::string file = "DIR/config.json: ";
  EXPECT_EQ(folder.errorOf([&] { HFConfig::read(folder.path()); }),
            file + "no such file");
  EXPECT_EQ(errorOfText(""), file + "is empty, expected JSON");
  EXPECT_EQ(errorOfText("[]"),
            file + "expected an object, found a list of 0 values");
  EXPECT_EQ(errorOfText(R"({"hidden_size": 64, "num)"),
            file + "not valid JSON: at line 1, column 25: syntax error while "
                   "parsing object key - invalid string: missing closing "
                   "quote");
  EXPECT_EQ(errorOfText(std::string(100'000, '[')),
            file + "JSON nested deeper than 64 levels");
  EXPECT_EQ(errorOfText(R"({"hidden_size": 64, "hidden_size": 65})"),
            file + "key 'hidden_size' occurs twice in one object");
  EXPECT_EQ(errorOfText(std::string((1 << 20) + 1, ' ')),
            file + "has 1048577 bytes, expected at most 1048576");
}

struct BadConfig {
  const char *name;
  std::string patch;
  std::string error;
};
std::ostream &operator<<(std::ostream &stream, const BadConfig &bad) {
  return stream << bad.name;
}

class BadConfigTest : public HFConfigTest,
                      public testing::WithParamInterface<BadConfig> {};

TEST_P(BadConfigTest, IsRefusedByTheField) {
  EXPECT_EQ(errorWith(GetParam().patch),
            "DIR/config.json: field '" + GetParam().error);
}

/// A field of another model, with a value that is refused by itself.
BadConfig foreign(const char *name, const char *field, const char *value,
                  const char *error) {
  return {name, R"({")" + std::string(field) + R"(": )" + value + "}",
          std::string(field) + "': " + error};
}

const std::string kPositive = "expected a number greater than 0, found ";

INSTANTIATE_TEST_SUITE_P(
    Sizes, BadConfigTest,
    testing::Values(
        BadConfig{"NoArchitecture", R"({"architectures": null})",
                  "architectures': is missing"},
        BadConfig{"NoArchitectureInList", R"({"architectures": []})",
                  "architectures': expected a list with the name of one, "
                  "found a list of 0 values"},
        BadConfig{"UnknownArchitecture",
                  R"({"architectures": ["BitNetForCausalLM"]})",
                  "architectures': expected LlamaForCausalLM, "
                  "MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, "
                  "found \"BitNetForCausalLM\""},
        BadConfig{"OtherModelType", R"({"model_type": "gemma"})",
                  "model_type': expected \"llama\" for LlamaForCausalLM, "
                  "found \"gemma\""},
        BadConfig{"NoHiddenSize", R"({"hidden_size": null})",
                  "hidden_size': is missing"},
        BadConfig{"HiddenSizeTwoTo31", R"({"hidden_size": 2147483648})",
                  "hidden_size': expected an integer from 1 to 1048576, found "
                  "2147483648"},
        BadConfig{"HiddenSizeZero", R"({"hidden_size": 0})",
                  "hidden_size': expected an integer from 1 to 1048576, found "
                  "0"},
        BadConfig{"HiddenSizeNegative", R"({"hidden_size": -64})",
                  "hidden_size': expected an integer from 1 to 1048576, found "
                  "-64"},
        BadConfig{"HiddenSizeText", R"({"hidden_size": "64"})",
                  "hidden_size': expected an integer from 1 to 1048576, found "
                  "\"64\""},
        BadConfig{"HiddenSizeFloat", R"({"hidden_size": 64.5})",
                  "hidden_size': expected an integer from 1 to 1048576, found "
                  "64.5"},
        BadConfig{"BillionLayers", R"({"num_hidden_layers": 1000000000})",
                  "num_hidden_layers': expected an integer from 1 to 10000, "
                  "found 1000000000"},
        BadConfig{"HugeIntermediate", R"({"intermediate_size": 1e18})",
                  "intermediate_size': expected an integer from 1 to "
                  "16777216, found 1e+18"},
        BadConfig{"HugeVocab", R"({"vocab_size": 16777217})",
                  "vocab_size': expected an integer from 1 to 16777216, found "
                  "16777217"},
        BadConfig{"HeadsDoNotDivide", R"({"num_attention_heads": 7})",
                  "num_attention_heads': expected a divisor of hidden_size "
                  "(64), found 7"},
        BadConfig{"KvHeadsDoNotDivide", R"({"num_key_value_heads": 3})",
                  "num_key_value_heads': expected a divisor of "
                  "num_attention_heads (8), found 3"},
        BadConfig{"MoreKvHeads", R"({"num_key_value_heads": 16})",
                  "num_key_value_heads': expected an integer from 1 to 8, "
                  "found 16"},
        BadConfig{"KvHeadsZero", R"({"num_key_value_heads": 0})",
                  "num_key_value_heads': expected an integer from 1 to 8, "
                  "found 0"},
        BadConfig{"OddHeadDim", R"({"head_dim": 13})",
                  "head_dim': expected an even number up to 16384 (rotary "
                  "embedding pairs dimensions), found 13"},
        BadConfig{"OddDerivedHeadDim",
                  R"({"hidden_size": 65, "num_attention_heads": 5})",
                  "head_dim': expected an even number up to 16384 (rotary "
                  "embedding pairs dimensions), found 13, hidden_size / "
                  "num_attention_heads"},
        BadConfig{"EpsilonZero", R"({"rms_norm_eps": 0})",
                  "rms_norm_eps': " + kPositive + "0"},
        BadConfig{"Gelu", R"({"hidden_act": "gelu"})",
                  "hidden_act': expected \"silu\", found \"gelu\""},
        BadConfig{"BiasIsNumber", R"({"attention_bias": 1})",
                  "attention_bias': expected true or false, found 1"},
        BadConfig{"EosOutside", R"({"eos_token_id": 512})",
                  "eos_token_id': expected an integer from 0 to 511, found "
                  "512"},
        BadConfig{"EosListOutside", R"({"eos_token_id": [1, -1]})",
                  "eos_token_id': expected an integer from 0 to 511, found "
                  "-1"},
        BadConfig{"BosOutside", R"({"bos_token_id": -1})",
                  "bos_token_id': expected an integer from 0 to 511, found "
                  "-1"}),
    [](const auto &info) { return info.param.name; });

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
                  R"({"rope_scaling": {"rope_type": "yarn", "factor": 2}})",
                  "rope_scaling.rope_type': expected default, linear or "
                  "llama3, found \"yarn\""},
        BadConfig{"UnknownOldType",
                  R"({"rope_scaling": {"type": "dynamic", "factor": 2}})",
                  "rope_scaling.type': expected default, linear or llama3, "
                  "found \"dynamic\""},
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
        BadConfig{"PartialInObject",
                  R"({"rope_parameters": {"rope_type": "default",
                      "partial_rotary_factor": 0.5}})",
                  "rope_parameters.partial_rotary_factor': only 1 is "
                  "supported, found 0.5"}),
    [](const auto &info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    ForeignFields, BadConfigTest,
    testing::Values(
        foreign("TensorParallel", "pretraining_tp", "2",
                "only 1 is supported, found 2"),
        foreign("PartialRotary", "partial_rotary_factor", "0.4",
                "only 1 is supported, found 0.4"),
        foreign("LogitScale", "logit_scale", "0.0625",
                "only 1 is supported, found 0.0625"),
        foreign("AttentionMultiplier", "attention_multiplier", "0.1",
                "is not supported, found 0.1"),
        foreign("ResidualMultiplier", "residual_multiplier", "0.22",
                "only 1 is supported, found 0.22"),
        foreign("EmbeddingMultiplier", "embedding_multiplier", "12",
                "only 1 is supported, found 12"),
        foreign("FinalSoftcap", "final_logit_softcapping", "30.0",
                "is not supported, found 30.0"),
        foreign("AttentionSoftcap", "attn_logit_softcapping", "50.0",
                "is not supported, found 50.0"),
        foreign("QkNorm", "qk_norm", "true",
                "only false is supported, found true"),
        foreign("UseQkNorm", "use_qk_norm", "true",
                "only false is supported, found true"),
        foreign("NoRopeLayers", "no_rope_layers", "[1, 1, 0]",
                "only [] is supported, found a list of 3 values"),
        foreign("Experts", "num_experts", "8", "only 0 is supported, found 8"),
        foreign("LocalExperts", "num_local_experts", "8",
                "only 0 is supported, found 8"),
        foreign("DenseLayers", "mlp_only_layers", "[0]",
                "only [] is supported, found a list of 1 values"),
        foreign("LayerTypes", "layer_types",
                R"(["full_attention", "sliding_attention"])",
                "expected \"full_attention\" for every layer, found "
                "\"sliding_attention\""),
        foreign("SlidingWindow", "sliding_window", "4096",
                "is not supported in LlamaForCausalLM, found 4096"),
        foreign("Interleaved", "rope_interleaved", "true",
                "only false is supported, found true"),
        foreign("Vision", "vision_config", "{}",
                "is not supported, found an object"),
        foreign("Quantized", "quantization_config",
                R"({"quant_method": "gptq"})",
                "the weights are quantized already; expected a checkpoint in "
                "F32, F16 or BF16"),
        BadConfig{"CustomCode",
                  R"({"auto_map": {"AutoModelForCausalLM": "modeling_x.X"}})",
                  "auto_map.AutoModelForCausalLM': names model code of its "
                  "own, which is never run: \"modeling_x.X\""}),
    [](const auto &info) { return info.param.name; });

TEST(RealConfigTest, EveryConfigIsReadOrRefusedByName) {
  const std::filesystem::path directory = sharedData() / "configs";
  if (!std::filesystem::exists(directory))
    GTEST_SKIP() << "the shared data folder is not here";
  const std::map<std::string, std::string> refused = {
      {"gpt2.config.json", "GPT2LMHeadModel"},
      {"phi-2.config.json", "PhiForCausalLM"}};
  int read = 0;
  for (const auto &entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    const TemporaryFolder folder;
    const std::string error = folder.errorOf([&] {
      HFConfig::readFile(entry.path(), HFConfig::knownArchitectures());
    });
    const auto place = refused.find(name);
    if (place == refused.end()) {
      EXPECT_EQ(error, "no error");
      ++read;
    } else {
      EXPECT_EQ(error, entry.path().string() +
                           ": field 'architectures': expected "
                           "LlamaForCausalLM, MistralForCausalLM, "
                           "Qwen2ForCausalLM, Qwen3ForCausalLM, found \"" +
                           place->second + "\"");
    }
  }
  EXPECT_GE(read, 13);

  const HFConfig llama =
      HFConfig::readFile(directory / "llama3_2_1b.config.json");
  EXPECT_EQ(llama.headDim, 64);
  EXPECT_EQ(llama.kvHeads, 8);
  EXPECT_EQ(llama.eosTokens, (std::vector<int64_t>{128001, 128008, 128009}));
  EXPECT_EQ(llama.rope.scaling, RopeConfig::Scaling::Llama3);
  EXPECT_TRUE(llama.tieWordEmbeddings);
}

TEST(RealConfigTest, ReadsStories260K) {
  const std::filesystem::path directory = sharedData() / "stories260K-hf";
  if (!std::filesystem::exists(directory))
    GTEST_SKIP() << "the shared data folder is not here";
  const HFConfig config = HFConfig::read(directory);
  EXPECT_EQ(config.kvHeads, 4);
  EXPECT_EQ(config.eosTokens, std::vector<int64_t>{1});
}

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

} // namespace
