// SPDX-License-Identifier: Apache-2.0
//
// Reads config.json as the table of Architectures.cpp says. ConfigFields.cpp
// knows which fields may be there, RopeConfig.cpp reads the rotary ones.
#include "frontend/HFConfig.h"

#include "frontend/Architectures.h"
#include "frontend/ConfigFields.h"
#include "frontend/TrainedSchemeFile.h"
#include "runtime/support/Json.h"

#include <algorithm>
#include <cctype>
#include <cmath>

namespace fairy2 {

using nlohmann::json;

namespace {

constexpr std::string_view kQkvBiasField = "attention_bias";
constexpr int64_t kMaxHidden = int64_t(1) << 20;
constexpr int64_t kMaxIntermediate = int64_t(1) << 24;
constexpr int64_t kMaxLayers = 10'000;
constexpr int64_t kMaxHeads = int64_t(1) << 14;
constexpr int64_t kMaxHeadDim = int64_t(1) << 14;
constexpr int64_t kMaxVocab = int64_t(1) << 24;
constexpr int64_t kMaxPositions = int64_t(1) << 30;

/// The class, or what transformers takes for it by model_type: an old spelling
/// ("LLaMAForCausalLM"), or the model that was saved without its head.
bool isNameOf(const Architecture &row, const std::string &name) {
  constexpr std::string_view kHeaded = "ForCausalLM";
  std::string headless(row.name);
  headless.replace(headless.size() - kHeaded.size(), kHeaded.size(), "Model");
  const std::string_view own = row.name;
  return name == headless ||
         std::equal(own.begin(), own.end(), name.begin(), name.end(),
                    [](unsigned char a, unsigned char b) {
                      return std::tolower(a) == std::tolower(b);
                    });
}

const Architecture &findArchitecture(const JsonObject &config) {
  const json &list = config.require("architectures");
  if (!list.is_array() || list.empty() || !list[0].is_string())
    config.failExpected("architectures", "a list with the name of one", list);
  const std::string name = list[0];
  std::string known;
  for (const Architecture &row : architectures()) {
    if (isNameOf(row, name))
      return row;
    known += (known.empty() ? "" : ", ") + std::string(row.name);
  }
  config.failExpected("architectures", known, list[0]);
}

bool resolve(Source source, const JsonObject &config, std::string_view field) {
  if (source == Source::Config)
    return config.boolean(field, false);
  const bool fixed = source == Source::Always;
  if (config.boolean(field, fixed) != fixed)
    config.failExpected(field, fixed ? "true" : "false", *config.find(field));
  return fixed;
}

/// The bias of o_proj, whose field may be that of q_proj, k_proj and v_proj.
bool readOutputBias(const JsonObject &config,
                    const Architecture &architecture) {
  const std::string_view field = architecture.outputBiasField;
  if (field == kQkvBiasField && architecture.outputBias != Source::Config)
    return architecture.outputBias == Source::Always;
  return resolve(architecture.outputBias, config, field);
}

void readHeads(const JsonObject &config, const Architecture &architecture,
               HFConfig &result) {
  result.heads = config.integer("num_attention_heads", 1, kMaxHeads);
  // An absent field takes the class's default, a null is as many as heads.
  const bool isNull = config.value().contains("num_key_value_heads");
  result.kvHeads = config.integer(
      "num_key_value_heads", 1, result.heads,
      architecture.kvHeads && !isNull ? architecture.kvHeads : result.heads);
  if (result.kvHeads > result.heads || result.heads % result.kvHeads != 0)
    config.fail("num_key_value_heads",
                "expected a divisor of num_attention_heads (" +
                    std::to_string(result.heads) + "), found " +
                    std::to_string(result.kvHeads));
  result.headDim =
      config.integer("head_dim", 1, kMaxHeadDim, architecture.headDim);
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

Activation readActivation(const JsonObject &config,
                          const Architecture &architecture) {
  const char *field = architecture.activationField;
  const std::string name = config.string(field, architecture.activation);
  if (name == "silu" || name == "swish")
    return Activation::Silu;
  // transformers has three names, and programs, for one function.
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" || name == "gelu_fast")
    return Activation::GeluTanh;
  config.failExpected(field, "\"silu\" or \"gelu_pytorch_tanh\"", name);
}

/// A list with one entry per layer, or null.
const json *findPerLayer(const JsonObject &config, const char *field,
                         int64_t layers) {
  const json *list = config.find(field);
  if (list && (!list->is_array() || int64_t(list->size()) != layers))
    config.failExpected(
        field, "a list of " + std::to_string(layers) + " values, one per layer",
        *list);
  return list;
}

/// SmolLM3's no_rope_layers, where 0 means that a layer has none.
void readRotatingLayers(const JsonObject &config, HFConfig &result) {
  const json *list = findPerLayer(config, "no_rope_layers", result.layers);
  const int64_t interval =
      config.integer("no_rope_layer_interval", 1, kMaxLayers, 4);
  for (int64_t i = 0; i < result.layers; ++i) {
    if (list && (*list)[size_t(i)] != 0 && (*list)[size_t(i)] != 1)
      config.failExpected("no_rope_layers", "0 or 1", (*list)[size_t(i)]);
    result.layerAttention[size_t(i)].rotates =
        list ? (*list)[size_t(i)] == 1 : (i + 1) % interval != 0;
  }
}

/// sliding_window, as far as anything may slide.
std::optional<int64_t> readWindow(const JsonObject &config,
                                  const Architecture &architecture) {
  if (architecture.windows == WindowRule::None)
    return std::nullopt;
  // Asked for before it may be switched off: it is known in any case.
  const bool isGiven = config.find("sliding_window");
  if (architecture.asks("use_sliding_window") &&
      !config.boolean("use_sliding_window", false))
    return std::nullopt;
  // An absent field takes the class's default, a null switches it off.
  if (!config.value().contains("sliding_window"))
    return architecture.window;
  if (!isGiven)
    return std::nullopt;
  return config.integer("sliding_window", 1, kMaxPositions);
}

/// Whether a layer slides where layer_types does not say.
bool slidesByRule(const JsonObject &config, const Architecture &architecture,
                  int64_t layer, bool rotates) {
  switch (architecture.windows) {
  case WindowRule::None:
    return false;
  case WindowRule::All:
    return true;
  case WindowRule::Last:
    return layer >= config.integer("max_window_layers", 0, kMaxLayers, 28);
  case WindowRule::AllButEach: {
    int64_t pattern = architecture.windowPattern;
    for (const char *field :
         {"sliding_window_pattern", "_sliding_window_pattern"})
      if (architecture.asks(field))
        pattern = config.integer(field, 1, kMaxLayers, pattern);
    return (layer + 1) % pattern != 0;
  }
  case WindowRule::Unrotated:
    return !rotates;
  }
  __builtin_unreachable();
}

bool slidesByType(const JsonObject &config, const json &type, bool hasWindow) {
  if (type == "full_attention")
    return false;
  if (!hasWindow)
    config.failExpected("layer_types", "\"full_attention\" for every layer",
                        type);
  if (type != "sliding_attention")
    config.failExpected("layer_types",
                        "\"full_attention\" or \"sliding_attention\"", type);
  return true;
}

void readLayers(const JsonObject &config, const Architecture &architecture,
                HFConfig &result) {
  result.layerAttention.resize(size_t(result.layers));
  if (architecture.asks("no_rope_layers"))
    readRotatingLayers(config, result);
  const std::optional<int64_t> window = readWindow(config, architecture);
  const json *types = findPerLayer(config, "layer_types", result.layers);
  bool anySlides = false;
  for (int64_t i = 0; i < result.layers; ++i) {
    LayerAttention &layer = result.layerAttention[size_t(i)];
    const bool byRule = slidesByRule(config, architecture, i, layer.rotates);
    layer.slides =
        types ? slidesByType(config, (*types)[size_t(i)], window.has_value())
              : window && byRule;
    // Classes whose layers are all alike do not look at layer_types.
    if (types && window && architecture.windows == WindowRule::All &&
        !layer.slides)
      config.failExpected("layer_types",
                          "\"sliding_attention\" for every layer",
                          (*types)[size_t(i)]);
    anySlides |= layer.slides;
  }
  if (anySlides)
    result.slidingWindow = window;
}

/// A soft cap: a number, or none where it is null.
std::optional<double> readSoftCap(const JsonObject &config,
                                  const Architecture &architecture,
                                  const char *field,
                                  std::optional<double> fallback) {
  if (!architecture.asks(field))
    return std::nullopt;
  if (!config.value().contains(field))
    return fallback;
  if (!config.find(field))
    return std::nullopt;
  return config.positive(field);
}

void readScales(const JsonObject &config, const Architecture &architecture,
                HFConfig &result) {
  const auto multiplier = [&](const char *field) {
    return architecture.asks(field) ? config.positive(field, 1) : 1;
  };
  result.scalesEmbedding = architecture.scalesEmbedding;
  result.embeddingMultiplier = multiplier("embedding_multiplier");
  result.residualMultiplier = multiplier("residual_multiplier");
  result.logitsDivisor = multiplier("logits_scaling");
  if (architecture.asks("attention_multiplier"))
    result.attentionScale = multiplier("attention_multiplier");
  else
    result.attentionScale =
        1 / std::sqrt(architecture.queryScalar
                          ? config.positive("query_pre_attn_scalar",
                                            *architecture.queryScalar)
                          : double(result.headDim));
  result.attentionSoftCap =
      readSoftCap(config, architecture, "attn_logit_softcapping",
                  architecture.attentionSoftCap);
  result.finalSoftCap =
      readSoftCap(config, architecture, "final_logit_softcapping",
                  architecture.finalSoftCap);
}

/// Some configurations say "none" with -1.
bool isNoToken(const json *value) { return !value || *value == -1; }

/// eos_token_id: a number, a list, or nothing.
std::vector<int64_t> readEosTokens(const JsonObject &config,
                                   int64_t vocabSize) {
  const json *value = config.find("eos_token_id");
  if (isNoToken(value))
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
  const auto byDefault = [&](const char *field,
                             const std::optional<int64_t> &token) {
    return !config.value().contains(field) && token &&
           *token < result.vocabSize;
  };
  if (!isNoToken(config.find("bos_token_id")))
    result.bosToken = config.integer("bos_token_id", 0, result.vocabSize - 1);
  else if (byDefault("bos_token_id", architecture.bosToken))
    result.bosToken = architecture.bosToken;
  result.eosTokens = readEosTokens(config, result.vocabSize);
  if (byDefault("eos_token_id", architecture.eosToken))
    result.eosTokens = {*architecture.eosToken};
}

std::optional<DType> readDeclaredType(const JsonObject &config) {
  std::optional<DType> type;
  for (const char *field : {"torch_dtype", "dtype"})
    if (const json *value = config.find(field)) {
      if (*value == "float32")
        type = DType::F32;
      else if (*value == "float16")
        type = DType::F16;
      else if (*value == "bfloat16")
        type = DType::BF16;
    }
  return type;
}

} // namespace

HFConfig HFConfig::readFile(const std::filesystem::path &configFile,
                            bool allowsUnknownFields) {
  const json root = readJson(configFile, {.bytes = 1 << 20});
  const std::string file = configFile.string();
  return parse(root, file, findArchitecture(JsonObject(root, file)),
               allowsUnknownFields);
}

HFConfig HFConfig::parse(const json &root, const std::string &file,
                         const Architecture &architecture,
                         bool allowsUnknownFields) {
  const JsonObject config(root, file);
  config.require("architectures"); // whose row it is, says the caller
  HFConfig result;
  result.architecture = architecture.name;
  result.modelType = config.string("model_type", architecture.modelType);
  if (result.modelType != architecture.modelType)
    config.failExpected("model_type",
                        "\"" + std::string(architecture.modelType) + "\" for " +
                            architecture.name,
                        result.modelType);
  refuseOtherPrograms(config, architecture);

  result.block = architecture.block;
  result.hiddenSize = config.integer("hidden_size", 1, kMaxHidden);
  result.intermediateSize =
      config.integer("intermediate_size", 1, kMaxIntermediate);
  result.layers = config.integer("num_hidden_layers", 1, kMaxLayers);
  result.vocabSize = config.integer("vocab_size", 1, kMaxVocab);
  result.maxPositions = config.integer(
      "max_position_embeddings", 1, kMaxPositions, architecture.maxPositions);
  readHeads(config, architecture, result);
  result.rmsNormEpsilon = config.positive("rms_norm_eps", architecture.epsilon);
  result.activation = readActivation(config, architecture);
  result.attentionBias = resolve(architecture.qkvBias, config, kQkvBiasField);
  result.attentionOutputBias = readOutputBias(config, architecture);
  result.mlpBias = resolve(architecture.mlpBias, config, "mlp_bias");
  result.tieWordEmbeddings =
      config.boolean("tie_word_embeddings", architecture.tiesEmbeddings);
  readLayers(config, architecture, result);
  readScales(config, architecture, result);
  const RopePair rope = readRope(
      config,
      {.defaultTheta = architecture.theta,
       .headDim = result.headDim,
       .maxPositions = result.maxPositions,
       .isPhi3 = architecture.isPhi3,
       .byLayerType = architecture.ropeByLayerType,
       .unknownFields = allowsUnknownFields ? &result.unknownFields : nullptr});
  result.rope = rope.main;
  result.localRope = rope.local;
  readSpecialTokens(config, architecture, result);
  result.declaredType = readDeclaredType(config);
  result.trained = readTrainedScheme(config);
  for (std::string &field :
       checkFields(config, architecture, allowsUnknownFields))
    result.unknownFields.push_back(std::move(field));
  return result;
}

HFConfig HFConfig::read(const ModelFolder &folder) {
  HFConfig result =
      readFile(folder.file("config.json"), folder.allowsUnknownFields());
  if (folder.has("generation_config.json")) {
    const std::filesystem::path generation =
        folder.file("generation_config.json");
    const json root = readJson(generation, {.bytes = 1 << 20});
    const JsonObject config(root, generation.string());
    if (config.find("eos_token_id"))
      result.eosTokens = readEosTokens(config, result.vocabSize);
  }
  return result;
}

std::vector<std::string> HFConfig::knownArchitectures() {
  std::vector<std::string> names;
  for (const Architecture &row : architectures())
    names.push_back(row.name);
  return names;
}

const RopeConfig *HFConfig::ropeOf(int64_t layer) const {
  const LayerAttention &attention = layerAttention[size_t(layer)];
  if (!attention.rotates)
    return nullptr;
  return attention.slides && localRope ? &*localRope : &rope;
}

double HFConfig::embeddingRoot(DType stored) const {
  float root = float(std::sqrt(double(hiddenSize)));
  uint8_t bytes[sizeof(float)];
  fromFloats(stored, &root, 1, bytes);
  toFloats(stored, bytes, 1, &root);
  return root;
}

std::optional<int64_t> HFConfig::windowOf(int64_t layer) const {
  return layerAttention[size_t(layer)].slides ? slidingWindow : std::nullopt;
}

} // namespace fairy2
