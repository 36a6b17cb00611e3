// SPDX-License-Identifier: Apache-2.0
//
// config.json of a Hugging Face causal language model, checked: every field
// that changes the computation is either understood or refused by name. Plain
// C++, no MLIR. Functions throw fairy2::Error naming file and field.
#pragma once

#include "dialect/phase/TrainedScheme.h"
#include "frontend/DType.h"
#include "frontend/ModelFolder.h"
#include "frontend/RopeConfig.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace fairy2 {

struct Architecture;

/// Whether queries and keys get an RMS norm: each head by itself (Qwen3), or
/// the whole row of all heads (OLMo 2).
enum class QkNorm { None, Heads, Rows };

/// f in f(gate) * up.
enum class Activation { Silu, GeluTanh };

/// How the blocks of an architecture are put together.
struct BlockDesign {
  /// Names of the RMS norms around attention and MLP; "" where there is none.
  const char *beforeAttention = "input_layernorm";
  const char *afterAttention = "";
  const char *beforeMlp = "post_attention_layernorm";
  const char *afterMlp = "";
  bool unitOffset = false; ///< norms multiply by 1 + weight
  QkNorm qkNorm = QkNorm::None;
  /// qkv_proj and gate_up_proj instead of five matrices.
  bool fusedProjections = false;
};

/// What differs from layer to layer.
struct LayerAttention {
  bool slides = false; ///< sees slidingWindow positions only
  bool rotates = true; ///< has a rotary embedding
};

struct HFConfig {
  std::string architecture; ///< architectures[0], e.g. "LlamaForCausalLM"
  std::string modelType;
  int64_t hiddenSize = 0;
  int64_t intermediateSize = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kvHeads = 0;
  int64_t headDim = 0; ///< even
  int64_t vocabSize = 0;
  int64_t maxPositions = 0;
  double rmsNormEpsilon = 1e-6;
  Activation activation = Activation::Silu;
  BlockDesign block;
  bool attentionBias = false;       ///< of q_proj, k_proj and v_proj
  bool attentionOutputBias = false; ///< of o_proj; as attentionBias in Llama
  bool mlpBias = false;
  bool tieWordEmbeddings = false;
  /// In layers that slide each position sees this many, itself included. None
  /// when no layer does.
  std::optional<int64_t> slidingWindow;
  std::vector<LayerAttention> layerAttention; ///< one per layer
  RopeConfig rope;
  /// Of layers that slide, where that is another (Gemma 3).
  std::optional<RopeConfig> localRope;
  double attentionScale = 1; ///< of the scores
  std::optional<double> attentionSoftCap, finalSoftCap;
  /// Whether embeddings are multiplied by the root of hiddenSize, rounded to
  /// their stored type as transformers does.
  bool scalesEmbedding = false;
  double embeddingMultiplier = 1;
  double residualMultiplier = 1; ///< of what attention and MLP add
  double logitsDivisor = 1;
  std::optional<int64_t> bosToken;
  std::vector<int64_t> eosTokens;
  /// What torch_dtype says; the tensors' own types are what counts.
  std::optional<DType> declaredType;
  std::optional<TrainedScheme> trained;   ///< what the weights were trained for
  std::vector<std::string> unknownFields; ///< that nobody has read

  /// Reads config.json of a folder (and generation_config.json for eos_token_id
  /// when present). Fields with a default in transformers' configuration class
  /// may be absent, except the model's sizes. A field that is not known is an
  /// error, or one of unknownFields where that is allowed.
  static HFConfig read(const ModelFolder &folder);

  /// The same for a lone config.json, without its neighbours.
  static HFConfig readFile(const std::filesystem::path &configFile,
                           bool allowsUnknownFields = false);

  /// The same of a parsed file, as that row of the table says.
  static HFConfig parse(const nlohmann::json &root, const std::string &file,
                        const Architecture &architecture,
                        bool allowsUnknownFields = false);

  /// The rotary embedding of a layer, or null.
  const RopeConfig *ropeOf(int64_t layer) const;
  /// The factor of embeddings that scalesEmbedding asks for.
  double embeddingRoot(DType stored) const;
  /// The window of a layer, or nothing.
  std::optional<int64_t> windowOf(int64_t layer) const;

  /// All architectures whose config.json is understood here.
  static std::vector<std::string> knownArchitectures();
};

} // namespace fairy2
