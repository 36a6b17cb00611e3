// SPDX-License-Identifier: Apache-2.0
//
// A row per architecture. A golden test in test/frontend proves each, and
// README.md names it: see frontend/README.md.
#include "frontend/Architectures.h"

#include <algorithm>

namespace fairy2 {
namespace {

constexpr BlockDesign kGemmaBlock = {.afterAttention =
                                         "post_attention_layernorm",
                                     .beforeMlp = "pre_feedforward_layernorm",
                                     .afterMlp = "post_feedforward_layernorm",
                                     .unitOffset = true};

BlockDesign with(BlockDesign block, QkNorm qkNorm) {
  block.qkNorm = qkNorm;
  return block;
}

} // namespace

bool Architecture::asks(std::string_view field) const {
  return std::find(fields.begin(), fields.end(), field) != fields.end();
}

const std::vector<Architecture> &architectures() {
  using enum Source;
  static const std::vector<Architecture> rows = {
      // Llama 1 to 3.2, TinyLlama, SmolLM, SmolLM2 (arXiv 2302.13971).
      {.name = "LlamaForCausalLM",
       .modelType = "llama",
       .qkvBias = Config,
       .outputBias = Config,
       .mlpBias = Config,
       .bosToken = 1,
       .eosToken = 2},
      // Mistral, Mathstral, Zephyr (arXiv 2310.06825).
      {.name = "MistralForCausalLM",
       .modelType = "mistral",
       .windows = WindowRule::All,
       .kvHeads = 8,
       .maxPositions = 131072,
       .bosToken = 1,
       .eosToken = 2,
       .window = 4096,
       .fields = {"sliding_window"}},
      // Qwen2, Qwen2.5 (arXiv 2407.10671).
      {.name = "Qwen2ForCausalLM",
       .modelType = "qwen2",
       .qkvBias = Always,
       .windows = WindowRule::Last,
       .kvHeads = 32,
       .maxPositions = 32768,
       .window = 4096,
       .fields = {"sliding_window", "use_sliding_window", "max_window_layers"}},
      // Qwen3, dense (arXiv 2505.09388).
      {.name = "Qwen3ForCausalLM",
       .modelType = "qwen3",
       .block = {.qkNorm = QkNorm::Heads},
       .qkvBias = Config,
       .outputBias = Config,
       .windows = WindowRule::Last,
       .kvHeads = 32,
       .headDim = 128,
       .maxPositions = 32768,
       .window = 4096,
       .fields = {"sliding_window", "use_sliding_window", "max_window_layers"}},
      // SmolLM3: every fourth layer has no rotary embedding (arXiv 2501.18795).
      {.name = "SmolLM3ForCausalLM",
       .modelType = "smollm3",
       .qkvBias = Config,
       .outputBias = Config,
       .mlpBias = Config,
       .windows = WindowRule::Unrotated,
       .kvHeads = 4,
       .maxPositions = 32768,
       .theta = 2'000'000,
       .tiesEmbeddings = true,
       .bosToken = 128000,
       .eosToken = 128001,
       .fields = {"sliding_window", "use_sliding_window", "no_rope_layers",
                  "no_rope_layer_interval"}},
      // Phi-3, Phi-3.5, Phi-4 and Phi-4 mini (arXiv 2404.14219).
      {.name = "Phi3ForCausalLM",
       .modelType = "phi3",
       .block = {.fusedProjections = true},
       .windows = WindowRule::All,
       .isPhi3 = true,
       .maxPositions = 4096,
       .epsilon = 1e-5,
       .bosToken = 1,
       .eosToken = 32000,
       .fields = {"sliding_window", "partial_rotary_factor"}},
      // Gemma 2 (arXiv 2408.00118).
      {.name = "Gemma2ForCausalLM",
       .modelType = "gemma2",
       .block = kGemmaBlock,
       .qkvBias = Config,
       .outputBias = Config,
       .windows = WindowRule::AllButEach,
       .scalesEmbedding = true,
       .activationField = "hidden_activation",
       .activation = "gelu_pytorch_tanh",
       .kvHeads = 4,
       .headDim = 256,
       .maxPositions = 8192,
       .tiesEmbeddings = true,
       .bosToken = 2,
       .eosToken = 1,
       .window = 4096,
       .windowPattern = 2,
       .queryScalar = 256,
       .attentionSoftCap = 50,
       .finalSoftCap = 30,
       .fields = {"sliding_window", "query_pre_attn_scalar",
                  "attn_logit_softcapping", "final_logit_softcapping",
                  "hidden_activation"},
       .ignored = {"hidden_act"}},
      // Gemma 3, text (arXiv 2503.19786).
      {.name = "Gemma3ForCausalLM",
       .modelType = "gemma3_text",
       .block = with(kGemmaBlock, QkNorm::Heads),
       .qkvBias = Config,
       .outputBias = Config,
       .windows = WindowRule::AllButEach,
       .scalesEmbedding = true,
       .ropeByLayerType = true,
       .activationField = "hidden_activation",
       .activation = "gelu_pytorch_tanh",
       .kvHeads = 4,
       .headDim = 256,
       .maxPositions = 131072,
       .theta = 1'000'000,
       .tiesEmbeddings = true,
       .bosToken = 2,
       .eosToken = 1,
       .window = 4096,
       .windowPattern = 6,
       .queryScalar = 256,
       .fields = {"sliding_window", "sliding_window_pattern",
                  "_sliding_window_pattern", "query_pre_attn_scalar",
                  "final_logit_softcapping", "hidden_activation",
                  "rope_local_base_freq"},
       .ignored = {"hidden_act"}},
      // Granite 3, dense: Llama with four multipliers.
      {.name = "GraniteForCausalLM",
       .modelType = "granite",
       .qkvBias = Config,
       .outputBias = Config,
       .mlpBias = Config,
       .bosToken = 1,
       .eosToken = 2,
       .fields = {"embedding_multiplier", "attention_multiplier",
                  "residual_multiplier", "logits_scaling"}},
      // OLMo 2: norms after attention and MLP alone (arXiv 2501.00656).
      {.name = "Olmo2ForCausalLM",
       .modelType = "olmo2",
       .block = {.beforeAttention = "",
                 .afterAttention = "post_attention_layernorm",
                 .beforeMlp = "",
                 .afterMlp = "post_feedforward_layernorm",
                 .qkNorm = QkNorm::Rows},
       .qkvBias = Config,
       .outputBias = Config,
       .epsilon = 1e-5,
       .eosToken = 50279},
  };
  return rows;
}

} // namespace fairy2
