// SPDX-License-Identifier: Apache-2.0
//
// Two tables decide: what each architecture takes for granted, and which fields
// of other models would change the computation if they were ignored. Adding an
// architecture is one row of the first.
#include "frontend/HFConfig.h"

#include "dialect/Error.h"
#include "frontend/Json.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace fairy2 {

using nlohmann::json;

namespace {

constexpr int64_t kMaxHidden = int64_t(1) << 20;
constexpr int64_t kMaxIntermediate = int64_t(1) << 24;
constexpr int64_t kMaxLayers = 10'000;
constexpr int64_t kMaxHeads = int64_t(1) << 14;
constexpr int64_t kMaxHeadDim = int64_t(1) << 14;
constexpr int64_t kMaxVocab = int64_t(1) << 24;
constexpr int64_t kMaxPositions = int64_t(1) << 30;

/// Where a property that some architectures fix and others configure comes
/// from.
enum class Source { Never, Always, Config };
/// Never: refused. Config: sliding_window. Switched: sliding_window, unless
/// use_sliding_window is false.
enum class Window { Never, Config, Switched };

/// One model class of transformers: its defaults, where they differ, and what
/// it does without asking the configuration.
struct Architecture {
  const char *name;
  const char *modelType;
  Source qkvBias;
  Source outputBias;
  Source mlpBias;
  bool qkNorm;
  Window window;
  int64_t defaultKvHeads; ///< 0: as many as heads
  int64_t defaultHeadDim; ///< 0: hidden_size / num_attention_heads
  int64_t defaultMaxPositions;
  bool defaultSpecialTokens; ///< BOS 1 and EOS 2; none otherwise
};

// clang-format off
constexpr Architecture kArchitectures[] = {
    {"LlamaForCausalLM", "llama", Source::Config, Source::Config,
     Source::Config, false, Window::Never, 0, 0, 2048, true},
    {"MistralForCausalLM", "mistral", Source::Never, Source::Never,
     Source::Never, false, Window::Config, 8, 0, 131072, true},
    {"Qwen2ForCausalLM", "qwen2", Source::Always, Source::Never,
     Source::Never, false, Window::Switched, 32, 0, 32768, false},
    {"Qwen3ForCausalLM", "qwen3", Source::Config, Source::Config,
     Source::Never, true, Window::Switched, 32, 128, 32768, false},
};
// clang-format on
constexpr int64_t kDefaultMistralWindow = 4096;

/// Fields of other models, each with the one JSON value that changes nothing;
/// null does not either, and is the only one where nothing is given.
struct ForeignField {
  const char *name;
  const char *neutral = "null";
};
constexpr ForeignField kForeignFields[] = {
    // Other attention.
    {"add_cross_attention", "false"},
    {"alibi", "false"},
    {"attention_chunk_size"},
    {"attn_logit_softcapping"},
    {"attn_temperature_tuning", "false"},
    {"clip_qkv"},
    {"cross_attention_layers", "[]"},
    {"is_causal", "true"},
    {"is_encoder_decoder", "false"},
    {"kv_lora_rank"},
    {"q_lora_rank"},
    {"qk_layernorm", "false"},
    {"qk_norm", "false"},
    {"query_pre_attn_scalar"},
    {"sliding_window_pattern"},
    {"use_qk_norm", "false"},
    // Other rotary embeddings.
    {"no_rope_layer_interval"},
    {"no_rope_layers", "[]"},
    {"partial_rotary_factor", "1"},
    {"rope_interleave", "false"},
    {"rope_interleaved", "false"},
    {"rotary_dim"},
    {"rotary_pct", "1"},
    {"use_mrope", "false"},
    // Other scales.
    {"attention_multiplier"},
    {"dim_model_base"},
    {"embedding_multiplier", "1"},
    {"final_logit_softcapping"},
    {"logit_scale", "1"},
    {"logits_scaling", "1"},
    {"residual_multiplier", "1"},
    {"scale_depth"},
    {"scale_emb", "1"},
    // Experts.
    {"first_k_dense_replace"},
    {"mlp_only_layers", "[]"},
    {"moe_intermediate_size"},
    {"n_routed_experts", "0"},
    {"num_experts", "0"},
    {"num_experts_per_tok", "0"},
    {"num_local_experts", "0"},
    // Other blocks.
    {"activation_function", "\"silu\""},
    {"audio_config"},
    {"bias", "false"},
    {"hidden_activation", "\"silu\""},
    {"lm_head_bias", "false"},
    {"parallel_attn", "false"},
    {"pretraining_tp", "1"},
    {"text_config"},
    {"use_bias", "false"},
    {"use_parallel_residual", "false"},
    {"vision_config"},
};

void refuseForeignFields(const JsonObject &config) {
  for (const ForeignField &field : kForeignFields) {
    const json *value = config.find(field.name);
    const json neutral = json::parse(field.neutral);
    if (!value || *value == neutral)
      continue;
    config.fail(field.name, neutral.is_null()
                                ? "is not supported, found " + describe(*value)
                                : "only " + std::string(field.neutral) +
                                      " is supported, found " +
                                      describe(*value));
  }
  if (config.find("quantization_config"))
    config.fail("quantization_config",
                "the weights are quantized already; expected a checkpoint in "
                "F32, F16 or BF16");
  if (const auto autoMap = config.object("auto_map"))
    if (const json *code = autoMap->find("AutoModelForCausalLM"))
      autoMap->fail("AutoModelForCausalLM",
                    "names model code of its own, which is never run: " +
                        describe(*code));
}

void refuseOtherLayerTypes(const JsonObject &config) {
  const json *types = config.find("layer_types");
  if (!types)
    return;
  if (!types->is_array())
    config.failExpected("layer_types", "a list", *types);
  for (const json &type : *types)
    if (type != "full_attention")
      config.failExpected("layer_types", "\"full_attention\" for every layer",
                          type);
}

const Architecture &
findArchitecture(const JsonObject &config,
                 const std::vector<std::string> &supported) {
  const json &list = config.require("architectures");
  if (!list.is_array() || list.empty() || !list[0].is_string())
    config.failExpected("architectures", "a list with the name of one", list);
  std::string known;
  for (const Architecture &row : kArchitectures) {
    if (std::find(supported.begin(), supported.end(), row.name) ==
        supported.end())
      continue;
    if (list[0] == row.name)
      return row;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  config.failExpected("architectures", known, list[0]);
}

bool resolve(Source source, const JsonObject &config, const char *field) {
  if (source == Source::Config)
    return config.boolean(field, false);
  const bool fixed = source == Source::Always;
  if (config.boolean(field, fixed) != fixed)
    config.failExpected(field, fixed ? "true" : "false", *config.find(field));
  return fixed;
}

std::optional<int64_t> readWindow(const JsonObject &config,
                                  const Architecture &architecture) {
  if (architecture.window == Window::Never) {
    for (const char *field : {"sliding_window", "use_sliding_window"})
      if (const json *value = config.find(field); value && *value != false)
        config.fail(field, std::string("is not supported in ") +
                               architecture.name + ", found " +
                               describe(*value));
    return std::nullopt;
  }
  if (architecture.window == Window::Switched) {
    if (config.boolean("use_sliding_window", false))
      config.fail("use_sliding_window", "only false is supported, found true");
    return std::nullopt;
  }
  // An absent field takes the class's default, a null switches it off.
  if (!config.value().contains("sliding_window"))
    return kDefaultMistralWindow;
  if (!config.find("sliding_window"))
    return std::nullopt;
  return config.integer("sliding_window", 1, kMaxPositions);
}

/// The scaling's own object: rope_scaling, or rope_parameters of newer files.
std::optional<JsonObject> findRopeObject(const JsonObject &config) {
  const std::optional<JsonObject> older = config.object("rope_scaling");
  const std::optional<JsonObject> newer = config.object("rope_parameters");
  if (!newer)
    return older;
  for (const auto &[key, value] : newer->value().items())
    if (value.is_object())
      newer->fail(key, "rotary parameters by layer type are not supported");
  if (older)
    for (const auto &[key, value] : older->value().items())
      if (!newer->value().contains(key) || newer->value()[key] != value)
        older->fail(key, "disagrees with field 'rope_parameters." + key + "'");
  return newer;
}

RopeConfig::Scaling readRopeType(const JsonObject &rope) {
  const bool isNewSpelling = rope.find("rope_type");
  const char *field = isNewSpelling ? "rope_type" : "type";
  // rope_parameters without a type is plain; rope_scaling must name one.
  const std::string type =
      !isNewSpelling && !rope.find("type") && rope.find("rope_theta")
          ? "default"
          : rope.string(field);
  if (isNewSpelling && rope.string("type", type) != type)
    rope.fail("type", "disagrees with 'rope_type'");
  if (type == "default")
    return RopeConfig::Scaling::None;
  if (type == "linear")
    return RopeConfig::Scaling::Linear;
  if (type == "llama3")
    return RopeConfig::Scaling::Llama3;
  rope.failExpected(field, "default, linear or llama3", type);
}

RopeConfig readRope(const JsonObject &config) {
  RopeConfig result;
  result.theta = config.positive("rope_theta", result.theta);
  const std::optional<JsonObject> rope = findRopeObject(config);
  if (!rope)
    return result;
  if (rope->find("rope_theta")) {
    const double theta = rope->positive("rope_theta");
    if (config.find("rope_theta") && theta != result.theta)
      rope->fail("rope_theta", "disagrees with field 'rope_theta'");
    result.theta = theta;
  }
  if (const json *part = rope->find("partial_rotary_factor");
      part && *part != 1)
    rope->fail("partial_rotary_factor",
               "only 1 is supported, found " + describe(*part));
  result.scaling = readRopeType(*rope);
  if (result.scaling == RopeConfig::Scaling::None)
    return result;
  result.factor = rope->positive("factor");
  if (result.factor < 1)
    rope->failExpected("factor", "a number from 1 up", rope->require("factor"));
  if (result.scaling == RopeConfig::Scaling::Linear)
    return result;
  result.lowFrequencyFactor = rope->positive("low_freq_factor");
  result.highFrequencyFactor = rope->positive("high_freq_factor");
  if (result.highFrequencyFactor <= result.lowFrequencyFactor)
    rope->failExpected("high_freq_factor", "more than low_freq_factor",
                       rope->require("high_freq_factor"));
  result.originalMaxPositions =
      rope->integer("original_max_position_embeddings", 1, kMaxPositions);
  return result;
}

void readHeads(const JsonObject &config, const Architecture &architecture,
               HFConfig &result) {
  result.heads = config.integer("num_attention_heads", 1, kMaxHeads);
  result.kvHeads = config.integer(
      "num_key_value_heads", 1, result.heads,
      architecture.defaultKvHeads ? architecture.defaultKvHeads : result.heads);
  if (result.kvHeads > result.heads || result.heads % result.kvHeads != 0)
    config.fail("num_key_value_heads",
                "expected a divisor of num_attention_heads (" +
                    std::to_string(result.heads) + "), found " +
                    std::to_string(result.kvHeads));
  result.headDim =
      config.integer("head_dim", 1, kMaxHeadDim, architecture.defaultHeadDim);
  const bool isDerived = result.headDim == 0;
  if (isDerived) {
    if (result.hiddenSize % result.heads != 0)
      config.fail("num_attention_heads", "expected a divisor of hidden_size (" +
                                             std::to_string(result.hiddenSize) +
                                             "), found " +
                                             std::to_string(result.heads));
    result.headDim = result.hiddenSize / result.heads;
  }
  if (result.headDim % 2 != 0 || result.headDim > kMaxHeadDim)
    config.fail("head_dim",
                "expected an even number up to " + std::to_string(kMaxHeadDim) +
                    " (rotary embedding pairs dimensions), found " +
                    std::to_string(result.headDim) +
                    (isDerived ? ", hidden_size / num_attention_heads" : ""));
}

/// eos_token_id: a number, a list, or nothing.
std::vector<int64_t> readEosTokens(const JsonObject &config,
                                   int64_t vocabSize) {
  const json *value = config.find("eos_token_id");
  if (!value)
    return {};
  if (!value->is_array())
    return {config.integer("eos_token_id", 0, vocabSize - 1)};
  std::vector<int64_t> tokens;
  for (const json &item : *value) {
    const json one = {{"eos_token_id", item}};
    tokens.push_back(JsonObject(one, config.file())
                         .integer("eos_token_id", 0, vocabSize - 1));
  }
  return tokens;
}

void readSpecialTokens(const JsonObject &config,
                       const Architecture &architecture, HFConfig &result) {
  const bool hasDefaults =
      architecture.defaultSpecialTokens && result.vocabSize > 2;
  if (config.find("bos_token_id"))
    result.bosToken = config.integer("bos_token_id", 0, result.vocabSize - 1);
  else if (hasDefaults && !config.value().contains("bos_token_id"))
    result.bosToken = 1;
  result.eosTokens = readEosTokens(config, result.vocabSize);
  if (hasDefaults && !config.value().contains("eos_token_id"))
    result.eosTokens = {2};
}

std::optional<DType> readDeclaredType(const JsonObject &config) {
  for (const char *field : {"dtype", "torch_dtype"})
    if (const json *value = config.find(field)) {
      if (*value == "float32")
        return DType::F32;
      if (*value == "float16")
        return DType::F16;
      if (*value == "bfloat16")
        return DType::BF16;
    }
  return std::nullopt;
}

} // namespace

HFConfig HFConfig::readFile(const std::filesystem::path &configFile,
                            const std::vector<std::string> &supported) {
  const json root = readJson(configFile, {.bytes = 1 << 20});
  const JsonObject config(root, configFile.string());
  const Architecture &architecture = findArchitecture(config, supported);

  HFConfig result;
  result.architecture = architecture.name;
  result.modelType = config.string("model_type", architecture.modelType);
  if (result.modelType != architecture.modelType)
    config.failExpected("model_type",
                        "\"" + std::string(architecture.modelType) + "\" for " +
                            architecture.name,
                        result.modelType);
  refuseForeignFields(config);
  refuseOtherLayerTypes(config);

  result.hiddenSize = config.integer("hidden_size", 1, kMaxHidden);
  result.intermediateSize =
      config.integer("intermediate_size", 1, kMaxIntermediate);
  result.layers = config.integer("num_hidden_layers", 1, kMaxLayers);
  result.vocabSize = config.integer("vocab_size", 1, kMaxVocab);
  result.maxPositions =
      config.integer("max_position_embeddings", 1, kMaxPositions,
                     architecture.defaultMaxPositions);
  readHeads(config, architecture, result);
  result.rmsNormEpsilon = config.positive("rms_norm_eps", 1e-6);
  result.hiddenActivation = config.string("hidden_act", "silu");
  if (result.hiddenActivation != "silu")
    config.failExpected("hidden_act", "\"silu\"", result.hiddenActivation);
  result.attentionBias =
      resolve(architecture.qkvBias, config, "attention_bias");
  result.attentionOutputBias =
      architecture.outputBias == Source::Config && result.attentionBias;
  result.mlpBias = resolve(architecture.mlpBias, config, "mlp_bias");
  result.qkNorm = architecture.qkNorm;
  result.tieWordEmbeddings = config.boolean("tie_word_embeddings", false);
  result.slidingWindow = readWindow(config, architecture);
  result.rope = readRope(config);
  readSpecialTokens(config, architecture, result);
  result.declaredType = readDeclaredType(config);
  return result;
}

HFConfig HFConfig::read(const std::filesystem::path &directory,
                        const std::vector<std::string> &supported) {
  HFConfig result = readFile(directory / "config.json", supported);
  const std::filesystem::path generation = directory / "generation_config.json";
  std::error_code code;
  if (std::filesystem::exists(generation, code)) {
    const json root = readJson(generation, {.bytes = 1 << 20});
    const JsonObject config(root, generation.string());
    if (config.find("eos_token_id"))
      result.eosTokens = readEosTokens(config, result.vocabSize);
  }
  return result;
}

std::vector<std::string> HFConfig::knownArchitectures() {
  std::vector<std::string> names;
  for (const Architecture &row : kArchitectures)
    names.push_back(row.name);
  return names;
}

std::vector<float> RopeConfig::inverseFrequencies(int64_t headDim) const {
  // transformers computes on float32 tensors: every line below rounds to float
  // where one of its operations ends. Python's scalar / tensor is the
  // tensor's reciprocal times the scalar. The power, correctly rounded here,
  // may differ from torch's in the last place.
  std::vector<float> frequencies;
  const float scale = float(factor);
  for (int64_t i = 0; i < headDim; i += 2) {
    const float exponent = float(i) / float(headDim);
    const float power = float(std::pow(double(float(theta)), double(exponent)));
    const float plain = 1.0f / power;
    if (scaling == Scaling::None) {
      frequencies.push_back(plain);
      continue;
    }
    if (scaling == Scaling::Linear) {
      frequencies.push_back(plain / scale);
      continue;
    }
    const float positions = float(originalMaxPositions);
    const float low = float(lowFrequencyFactor);
    const float longest =
        float(double(originalMaxPositions) / lowFrequencyFactor);
    const float shortest =
        float(double(originalMaxPositions) / highFrequencyFactor);
    const float wavelength = (1.0f / plain) * float(2 * std::numbers::pi);
    if (wavelength > longest) {
      frequencies.push_back(plain / scale);
    } else if (wavelength < shortest) {
      frequencies.push_back(plain);
    } else {
      const float smooth = ((1.0f / wavelength) * positions - low) /
                           float(highFrequencyFactor - lowFrequencyFactor);
      frequencies.push_back((1.0f - smooth) * plain / scale + smooth * plain);
    }
  }
  return frequencies;
}

} // namespace fairy2
