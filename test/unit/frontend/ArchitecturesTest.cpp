// SPDX-License-Identifier: Apache-2.0
//
// What each architecture asks of config.json, and its defaults. That the models
// compute what they should is for test/frontend/golden.
#include "frontend/Architectures.h"

#include "frontend/ConfigFields.h"
#include "test/unit/frontend/ConfigTest.h"

using namespace fairy2;

namespace {

/// Six layers, so that patterns show.
class ArchitecturesTest : public ConfigTest {
protected:
  static std::string with(const char *name, const char *type,
                          const std::string &rest = "") {
    return R"({"architectures": [")" + std::string(name) +
           R"("], "model_type": ")" + type +
           R"(", "num_hidden_layers": 6, "num_key_value_heads": 4)" + rest +
           "}";
  }
  /// One character per layer, S or F, and n where it does not rotate.
  static std::string layersOf(const HFConfig &config) {
    std::string text;
    for (const LayerAttention &layer : config.layerAttention)
      text +=
          std::string(layer.slides ? "S" : "F") + (layer.rotates ? "" : "n");
    return text;
  }
};

TEST_F(ArchitecturesTest, MistralAndQwenDifferWhereTheyShould) {
  const HFConfig mistral = readWith(with("MistralForCausalLM", "mistral"));
  EXPECT_FALSE(mistral.attentionBias);
  EXPECT_EQ(mistral.slidingWindow, 4096);
  EXPECT_FALSE(readWith(with("MistralForCausalLM", "mistral",
                             R"(, "sliding_window": null)"))
                   .slidingWindow);
  EXPECT_EQ(readWith(with("MistralForCausalLM", "mistral",
                          R"(, "sliding_window": 16)"))
                .slidingWindow,
            16);
  const HFConfig qwen2 =
      readWith(with("Qwen2ForCausalLM", "qwen2",
                    R"(, "sliding_window": 9, "use_sliding_window": false)"));
  EXPECT_TRUE(qwen2.attentionBias);
  EXPECT_FALSE(qwen2.attentionOutputBias || qwen2.slidingWindow);
  EXPECT_FALSE(qwen2.bosToken);
  EXPECT_TRUE(qwen2.eosTokens.empty());
  const HFConfig qwen3 = readWith(
      with("Qwen3ForCausalLM", "qwen3", R"(, "attention_bias": true)"));
  EXPECT_TRUE(qwen3.attentionBias && qwen3.attentionOutputBias);
  EXPECT_EQ(qwen3.block.qkNorm, QkNorm::Heads);
  EXPECT_EQ(qwen3.headDim, 128);
  EXPECT_EQ(errorWith(with("Qwen2ForCausalLM", "qwen2",
                           R"(, "attention_bias": false)")),
            "DIR/config.json: field 'attention_bias': expected true, found "
            "false");
}
/// The last layers, and only when switched on.
TEST_F(ArchitecturesTest, QwensWindowBeginsAtALayer) {
  const auto qwen = [](const std::string &rest) {
    return with("Qwen2ForCausalLM", "qwen2",
                R"(, "sliding_window": 9, "max_window_layers": 4)" + rest);
  };
  const HFConfig on = readWith(qwen(R"(, "use_sliding_window": true)"));
  EXPECT_EQ(layersOf(on), "FFFFSS");
  EXPECT_EQ(on.windowOf(4), 9);
  EXPECT_FALSE(on.windowOf(3));
  EXPECT_EQ(layersOf(readWith(qwen(""))), "FFFFFF");
  EXPECT_EQ(errorWith(qwen(R"(, "layer_types": ["full_attention",
              "full_attention", "full_attention", "full_attention",
              "full_attention", "sliding_attention"])")),
            "DIR/config.json: field 'layer_types': expected "
            "\"full_attention\" for every layer, found "
            "\"sliding_attention\"");
}

TEST_F(ArchitecturesTest, SmolLM3HasLayersThatDoNotRotate) {
  const auto smollm3 = [](const std::string &rest) {
    return with("SmolLM3ForCausalLM", "smollm3", rest);
  };
  const HFConfig plain = readWith(smollm3(""));
  EXPECT_EQ(layersOf(plain), "FFFFnFF");
  EXPECT_EQ(plain.ropeOf(3), nullptr);
  EXPECT_EQ(plain.rope.theta, 2'000'000);
  EXPECT_TRUE(plain.tieWordEmbeddings);
  EXPECT_FALSE(plain.bosToken); // 128000 is beyond the vocabulary
  EXPECT_EQ(layersOf(readWith(smollm3(R"(, "no_rope_layer_interval": 2)"))),
            "FFnFFnFFn");
  EXPECT_EQ(layersOf(readWith(smollm3(R"(, "no_rope_layers":
              [0, 1, 1, 1, 1, 0], "use_sliding_window": true,
              "sliding_window": 5)"))),
            "SnFFFFSn");
  EXPECT_EQ(errorWith(smollm3(R"(, "no_rope_layers": [1, 1])")),
            "DIR/config.json: field 'no_rope_layers': expected a list of 6 "
            "values, one per layer, found a list of 2 values");
  EXPECT_EQ(errorWith(smollm3(R"(, "no_rope_layers": [1, 1, 1, 2, 1, 1])")),
            "DIR/config.json: field 'no_rope_layers': expected 0 or 1, found "
            "2");
}

TEST_F(ArchitecturesTest, GemmasLayersAlternate) {
  const HFConfig gemma2 = readWith(with("Gemma2ForCausalLM", "gemma2"));
  EXPECT_EQ(layersOf(gemma2), "SFSFSF");
  EXPECT_EQ(gemma2.slidingWindow, 4096);
  EXPECT_EQ(gemma2.headDim, 256);
  EXPECT_EQ(gemma2.attentionScale, 1. / 16);
  EXPECT_EQ(gemma2.attentionSoftCap, 50);
  EXPECT_EQ(gemma2.finalSoftCap, 30);
  EXPECT_EQ(gemma2.activation, Activation::GeluTanh);
  EXPECT_TRUE(gemma2.scalesEmbedding && gemma2.block.unitOffset &&
              gemma2.tieWordEmbeddings);
  const HFConfig open = readWith(with("Gemma2ForCausalLM", "gemma2",
                                      R"(, "attn_logit_softcapping": null,
                       "final_logit_softcapping": null,
                       "query_pre_attn_scalar": 144)"));
  EXPECT_FALSE(open.attentionSoftCap || open.finalSoftCap);
  EXPECT_EQ(open.attentionScale, 1. / 12);

  const auto gemma3 = [](const std::string &rest) {
    return with("Gemma3ForCausalLM", "gemma3_text", rest);
  };
  EXPECT_EQ(layersOf(readWith(gemma3(""))), "SSSSSF");
  EXPECT_FALSE(readWith(gemma3("")).attentionSoftCap);
  EXPECT_EQ(layersOf(readWith(gemma3(R"(, "sliding_window_pattern": 2)"))),
            "SFSFSF");
  EXPECT_EQ(layersOf(readWith(gemma3(R"(, "_sliding_window_pattern": 3)"))),
            "SSFSSF");
  EXPECT_EQ(layersOf(readWith(gemma3(R"(, "layer_types": ["full_attention",
              "sliding_attention", "full_attention", "full_attention",
              "full_attention", "full_attention"])"))),
            "FSFFFF");
  EXPECT_EQ(errorWith(gemma3(R"(, "attn_logit_softcapping": 50.0)")),
            "DIR/config.json: field 'attn_logit_softcapping': is not supported "
            "in Gemma3ForCausalLM, found 50.0");
  EXPECT_EQ(errorWith(gemma3(R"(, "use_bidirectional_attention": true)")),
            "DIR/config.json: field 'use_bidirectional_attention': only false "
            "is supported in Gemma3ForCausalLM, found true");
}

TEST_F(ArchitecturesTest, GraniteHasMultipliers) {
  const HFConfig plain = readWith(with("GraniteForCausalLM", "granite"));
  EXPECT_EQ(plain.attentionScale, 1); // not 1 / sqrt(head_dim)
  const HFConfig granite = readWith(
      with("GraniteForCausalLM", "granite",
           R"(, "attention_multiplier": 0.5, "embedding_multiplier": 12,
              "residual_multiplier": 0.22, "logits_scaling": 8)"));
  EXPECT_EQ(granite.attentionScale, 0.5);
  EXPECT_EQ(granite.embeddingMultiplier, 12);
  EXPECT_EQ(granite.residualMultiplier, 0.22);
  EXPECT_EQ(granite.logitsDivisor, 8);
  EXPECT_EQ(errorWith(with("GraniteForCausalLM", "granite",
                           R"(, "logits_scaling": 0)")),
            "DIR/config.json: field 'logits_scaling': " + kPositive + "0");
}

/// A null is not an absent field: as many key heads as heads.
TEST_F(ArchitecturesTest, NullKeyHeadsAreHeads) {
  const std::string qwen =
      with("Qwen2ForCausalLM", "qwen2", R"(, "num_key_value_heads": null)");
  EXPECT_EQ(readWith(qwen).kvHeads, 8);
}

/// An object is no value of any field, so whoever reads one says what was
/// expected. One that a row lists and nothing reads would pass, or be taken for
/// a stranger's.
TEST_F(ArchitecturesTest, EveryListedFieldIsRead) {
  for (const Architecture &row : architectures())
    for (const std::string_view field : row.fields) {
      const std::string named = "field '" + std::string(field) + "': expected ";
      std::string found = errorWith(with(
          row.name, row.modelType, ", \"" + std::string(field) + "\": {}"));
      // Where a switch is off, nobody looks behind it.
      if (found == "no error" && row.asks("use_sliding_window"))
        found = errorWith(with(row.name, row.modelType,
                               ", \"use_sliding_window\": true, \"" +
                                   std::string(field) + "\": {}"));
      EXPECT_NE(found.find(named), std::string::npos)
          << row.name << ": " << field << ": " << found;
    }
}

/// What decides is what is read, not what a row lists: the field of another
/// architecture is no better than an unknown one.
TEST_F(ArchitecturesTest, FieldsThatNobodyReadsAreRefused) {
  for (const Architecture &row : architectures()) {
    EXPECT_EQ(
        errorWith(with(row.name, row.modelType, R"(, "logit_scale": 0.5)")),
        "DIR/config.json: field 'logit_scale': only 1 is supported in " +
            std::string(row.name) + ", found 0.5");
    EXPECT_EQ(errorWith(with(row.name, row.modelType,
                             R"(, "attention_out_bias": false)")),
              std::string("DIR/config.json: field 'attention_out_bias': ") +
                  kUnknownField);
    EXPECT_EQ(errorWith(with(row.name, row.modelType,
                             R"(, "partial_rotary_factor": 1.5)"))
                  .find("DIR/config.json: field 'partial_rotary_factor': "),
              0u)
        << row.name;
  }
}

/// Where it comes from is settled once, for every value of Source.
TEST_F(ArchitecturesTest, TheOutputBiasHasItsOwnSource) {
  Architecture row = architectures().front();
  const auto outputBias = [&](const std::string &fields) {
    const std::string text =
        with(row.name, row.modelType, fields.empty() ? "" : ", " + fields);
    nlohmann::json config = nlohmann::json::parse(kGoodConfig);
    config.update(nlohmann::json::parse(text));
    return HFConfig::parse(config, "DIR/config.json", row).attentionOutputBias;
  };
  const auto error = [&](const std::string &fields) {
    return folder.errorOf([&] { outputBias(fields); });
  };
  EXPECT_FALSE(outputBias(""));
  EXPECT_TRUE(outputBias(R"("attention_bias": true)"));
  row.outputBias = Source::Always;
  EXPECT_TRUE(outputBias(""));
  EXPECT_TRUE(outputBias(R"("attention_bias": false)"));
  row.outputBiasField = "attention_out_bias";
  EXPECT_TRUE(outputBias(R"("attention_out_bias": true)"));
  EXPECT_EQ(error(R"("attention_out_bias": false)"),
            "DIR/config.json: field 'attention_out_bias': expected true, found "
            "false");
  row.outputBias = Source::Never;
  EXPECT_FALSE(outputBias(R"("attention_out_bias": false)"));
  EXPECT_EQ(error(R"("attention_out_bias": true)"),
            "DIR/config.json: field 'attention_out_bias': expected false, "
            "found true");
  row.outputBias = Source::Config;
  EXPECT_TRUE(outputBias(R"("attention_out_bias": true)"));
  EXPECT_FALSE(
      outputBias(R"("attention_bias": true, "attention_out_bias": false)"));
  // Listed, and read by nobody.
  row.fields = {"logit_scale"};
  EXPECT_EQ(error(R"("logit_scale": 0.5)"),
            "DIR/config.json: field 'logit_scale': only 1 is supported in "
            "LlamaForCausalLM, found 0.5");
}

TEST_F(ArchitecturesTest, ModelsOfImagesAreRefusedByName) {
  EXPECT_EQ(
      errorWith(R"({"architectures": ["Gemma3ForConditionalGeneration"]})"),
      "DIR/config.json: field 'architectures': expected " + allArchitectures() +
          ", found \"Gemma3ForConditionalGeneration\"");
}

} // namespace
