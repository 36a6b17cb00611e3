// SPDX-License-Identifier: Apache-2.0
//
// Llama 1 to 3.2, TinyLlama, SmolLM, SmolLM2: pre-norm blocks, rotary
// embedding, grouped key heads, SwiGLU (Touvron et al., arXiv 2302.13971).
#include "frontend/models/Models.h"

using namespace mlir;

namespace fairy2 {

Value buildLlama(ModelBuilder &model) {
  const HFConfig &config = model.config;
  const int64_t heads = config.heads * config.headDim;
  const int64_t kvHeads = config.kvHeads * config.headDim;

  Value x = model.embedding("model.embed_tokens.weight");
  Value angles = model.ropeTable();
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    const std::string attention = prefix + "self_attn.";
    Value normed = model.rmsNorm(x, prefix + "input_layernorm.weight");
    Value q = model.linear(normed, attention + "q_proj", heads,
                           config.attentionBias);
    Value k = model.linear(normed, attention + "k_proj", kvHeads,
                           config.attentionBias);
    Value v = model.linear(normed, attention + "v_proj", kvHeads,
                           config.attentionBias);
    Value attended = model.attention(model.rope(q, angles),
                                     model.rope(k, angles), v, layer);
    x = model.add(x, model.linear(attended, attention + "o_proj",
                                  config.hiddenSize,
                                  config.attentionOutputBias));

    normed = model.rmsNorm(x, prefix + "post_attention_layernorm.weight");
    Value gate = model.linear(normed, prefix + "mlp.gate_proj",
                              config.intermediateSize, config.mlpBias);
    Value up = model.linear(normed, prefix + "mlp.up_proj",
                            config.intermediateSize, config.mlpBias);
    x = model.add(x, model.linear(model.gated(GateKind::Silu, gate, up),
                                  prefix + "mlp.down_proj", config.hiddenSize,
                                  config.mlpBias));
    // A buffer that old checkpoints carry; config.json says the same.
    model.ignore(attention + "rotary_emb.inv_freq");
  }
  x = model.rmsNorm(model.wantedRows(x), "model.norm.weight");
  // Some tied checkpoints store the head again.
  if (config.tieWordEmbeddings)
    model.ignore("lm_head.weight");
  return model.head(x, config.tieWordEmbeddings ? "model.embed_tokens.weight"
                                                : "lm_head.weight");
}

} // namespace fairy2
