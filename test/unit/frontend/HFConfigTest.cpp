// SPDX-License-Identifier: Apache-2.0
//
// Good configurations field by field, bad ones as a table, and the real ones of
// the shared data folder.
#include "frontend/ConfigFields.h"
#include "test/unit/frontend/ConfigTest.h"

using namespace fairy2;
using nlohmann::json;

namespace {

using HFConfigTest = ConfigTest;

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
  EXPECT_EQ(config.activation, Activation::Silu);
  EXPECT_EQ(config.block.qkNorm, QkNorm::None);
  EXPECT_FALSE(config.attentionBias || config.attentionOutputBias ||
               config.mlpBias || config.tieWordEmbeddings);
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
    "layer_types": ["full_attention", "full_attention", "full_attention",
                    "full_attention", "full_attention"]})");
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
  EXPECT_EQ(errorWith(R"({"logit_scale": 1.0, "pretraining_tp": 2,
    "partial_rotary_factor": 1.0, "qk_norm": false, "mlp_only_layers": [],
    "use_sliding_window": false, "rope_interleaved": false, "made_up": null,
    "_attn_implementation_autoset": true, "unsloth_version": "2025.1",
    "auto_map": {"AutoConfig": "x.Y",
                 "AutoModelForCausalLM": "modeling_x.LlamaForCausalLM"}})"),
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

/// What is known to matter is refused all the same.
TEST_F(HFConfigTest, UnknownFieldsMayBeAllowed) {
  nlohmann::json config = nlohmann::json::parse(kGoodConfig);
  config["badwordsids"] = {{0}};
  config["made_up"] = 3;
  folder.write("config.json", config.dump());
  EXPECT_EQ(HFConfig::read({folder.path(), {.allowsUnknownFields = true}})
                .unknownFields,
            (std::vector<std::string>{"badwordsids", "made_up"}));
  config["rope_scaling"] = {
      {"type", "linear"}, {"factor", 2}, {"mrope_section", {1, 2}}};
  folder.write("config.json", config.dump());
  const HFConfig read =
      HFConfig::read({folder.path(), {.allowsUnknownFields = true}});
  EXPECT_EQ(read.unknownFields,
            (std::vector<std::string>{"rope_scaling.mrope_section",
                                      "badwordsids", "made_up"}));
  EXPECT_EQ(read.rope.factor, 2);
  config["logit_scale"] = 0.5;
  folder.write("config.json", config.dump());
  EXPECT_EQ(folder.errorOf([&] {
    HFConfig::read({folder.path(), {.allowsUnknownFields = true}});
  }),
            "DIR/config.json: field 'logit_scale': only 1 is supported in "
            "LlamaForCausalLM, found 0.5");
  EXPECT_TRUE(readWith("{}").unknownFields.empty());
}

/// As real files say "nothing", and what transformers goes by model_type for.
TEST_F(HFConfigTest, OldSpellingsAreRead) {
  const HFConfig config = readWith(
      R"({"eos_token_id": -1, "bos_token_id": -1, "rope_scaling": {},
          "rope_parameters": {}, "architectures": ["LLaMAForCausalLM"]})");
  EXPECT_EQ(config.architecture, "LlamaForCausalLM");
  EXPECT_TRUE(config.eosTokens.empty());
  EXPECT_FALSE(config.bosToken);
  EXPECT_EQ(config.rope.scaling, RopeConfig::Scaling::None);
  EXPECT_EQ(readWith(R"({"architectures": ["LlamaModel"]})").architecture,
            "LlamaForCausalLM");
  EXPECT_EQ(errorWith(R"({"architectures": ["LlamaForSequenceLabels"]})")
                .find("DIR/config.json: field 'architectures': expected "),
            0u);
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

TEST_P(BadConfigTest, IsRefusedByTheField) {
  EXPECT_EQ(errorWith(GetParam().patch),
            "DIR/config.json: field '" + GetParam().error);
}

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
                  "architectures': expected " + allArchitectures() +
                      ", found \"BitNetForCausalLM\""},
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
        BadConfig{
            "Gelu", R"({"hidden_act": "gelu"})",
            "hidden_act': expected \"silu\" or \"gelu_pytorch_tanh\", found "
            "\"gelu\""},
        BadConfig{"BiasIsNumber", R"({"attention_bias": 1})",
                  "attention_bias': expected true or false, found 1"},
        BadConfig{"EosOutside", R"({"eos_token_id": 512})",
                  "eos_token_id': expected an integer from 0 to 511, found "
                  "512"},
        BadConfig{"EosListOutside", R"({"eos_token_id": [1, -1]})",
                  "eos_token_id': expected an integer from 0 to 511, found "
                  "-1"},
        BadConfig{"EosNegative", R"({"eos_token_id": -2})",
                  "eos_token_id': expected an integer from 0 to 511, found "
                  "-2"},
        BadConfig{"BosOutside", R"({"bos_token_id": -2})",
                  "bos_token_id': expected an integer from 0 to 511, found "
                  "-2"}),
    [](const auto &info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    ForeignFields, BadConfigTest,
    testing::Values(
        foreign("Unknown", "made_up", "{}", kUnknownField),
        foreign("PartialRotary", "partial_rotary_factor", "0.4",
                "only 1 is supported in LlamaForCausalLM, found 0.4"),
        foreign("LogitScale", "logit_scale", "0.0625",
                "only 1 is supported in LlamaForCausalLM, found 0.0625"),
        foreign("AttentionMultiplier", "attention_multiplier", "0.1",
                "is not supported in LlamaForCausalLM, found 0.1"),
        foreign("ResidualMultiplier", "residual_multiplier", "0.22",
                "only 1 is supported in LlamaForCausalLM, found 0.22"),
        foreign("EmbeddingMultiplier", "embedding_multiplier", "12",
                "only 1 is supported in LlamaForCausalLM, found 12"),
        foreign("FinalSoftcap", "final_logit_softcapping", "30.0",
                "is not supported in LlamaForCausalLM, found 30.0"),
        foreign("AttentionSoftcap", "attn_logit_softcapping", "50.0",
                "is not supported in LlamaForCausalLM, found 50.0"),
        foreign("QkNorm", "qk_norm", "true",
                "only false is supported in LlamaForCausalLM, found true"),
        foreign("UseQkNorm", "use_qk_norm", "true",
                "only false is supported in LlamaForCausalLM, found true"),
        foreign("NoRopeLayers", "no_rope_layers", "[1, 1, 0]",
                "only [] is supported in LlamaForCausalLM, found a list of 3 "
                "values"),
        foreign("Experts", "num_experts", "8",
                "only 0 is supported in LlamaForCausalLM, found 8"),
        foreign("LocalExperts", "num_local_experts", "8",
                "only 0 is supported in LlamaForCausalLM, found 8"),
        foreign("DenseLayers", "mlp_only_layers", "[0]",
                "only [] is supported in LlamaForCausalLM, found a list of 1 "
                "values"),
        foreign("LayerTypes", "layer_types",
                R"(["full_attention", "full_attention", "full_attention",
                    "full_attention", "sliding_attention"])",
                "expected \"full_attention\" for every layer, found "
                "\"sliding_attention\""),
        foreign("LayerTypesCount", "layer_types", R"(["full_attention"])",
                "expected a list of 5 values, one per layer, found a list of "
                "1 values"),
        foreign("SlidingWindow", "sliding_window", "4096",
                "is not supported in LlamaForCausalLM, found 4096"),
        foreign("Interleaved", "rope_interleaved", "true",
                "only false is supported in LlamaForCausalLM, found true"),
        foreign("Vision", "vision_config", "{}",
                "is not supported in LlamaForCausalLM, found an object"),
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
    const std::string error =
        folder.errorOf([&] { HFConfig::readFile(entry.path()); });
    const auto place = refused.find(name);
    if (place == refused.end()) {
      EXPECT_EQ(error, "no error");
      ++read;
    } else {
      EXPECT_EQ(error,
                entry.path().string() + ": field 'architectures': expected " +
                    allArchitectures() + ", found \"" + place->second + "\"");
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

} // namespace
