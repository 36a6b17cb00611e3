// SPDX-License-Identifier: Apache-2.0
//
// config.json of a Hugging Face causal language model, checked: every field
// that changes the computation is either understood or refused by name. Plain
// C++, no MLIR. Functions throw fairy2::Error naming file and field.
#pragma once

#include "frontend/DType.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace fairy2 {

/// Rotary position embedding, after rope_scaling has been validated.
struct RopeConfig {
  enum class Scaling { None, Linear, Llama3 };
  double theta = 10000;
  Scaling scaling = Scaling::None;
  double factor = 1;
  double lowFrequencyFactor = 1;    ///< llama3 only
  double highFrequencyFactor = 4;   ///< llama3 only
  int64_t originalMaxPositions = 0; ///< llama3 only

  /// headDim / 2 inverse frequencies, float32-rounded where transformers
  /// rounds.
  std::vector<float> inverseFrequencies(int64_t headDim) const;
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
  std::string hiddenActivation = "silu";
  bool attentionBias = false;       ///< of q_proj, k_proj and v_proj
  bool attentionOutputBias = false; ///< of o_proj; as attentionBias in Llama
  bool mlpBias = false;
  bool qkNorm = false; ///< RMS norm of each head's q and k (Qwen3)
  bool tieWordEmbeddings = false;
  /// Each position sees this many, itself included; none in Llama and Qwen.
  std::optional<int64_t> slidingWindow;
  RopeConfig rope;
  std::optional<int64_t> bosToken;
  std::vector<int64_t> eosTokens;
  /// What torch_dtype says; the tensors' own types are what counts.
  std::optional<DType> declaredType;

  /// Reads directory/config.json (and generation_config.json for eos_token_id
  /// when present). Fields with a default in transformers' configuration class
  /// may be absent, except the model's sizes. `supported` is what the caller
  /// can work with, a subset of knownArchitectures(); others are refused.
  static HFConfig read(const std::filesystem::path &directory,
                       const std::vector<std::string> &supported = {
                           "LlamaForCausalLM"});

  /// The same for a lone config.json, without its neighbours.
  static HFConfig readFile(const std::filesystem::path &configFile,
                           const std::vector<std::string> &supported = {
                               "LlamaForCausalLM"});

  /// All architectures whose config.json is understood here.
  static std::vector<std::string> knownArchitectures();
};

} // namespace fairy2
