// SPDX-License-Identifier: Apache-2.0
//
// Decoder-only transformers with RMS norms, rotary embedding, grouped key heads
// and a gated MLP. What one architecture does differently from the next stands
// in Architectures.cpp; here each difference is one line.
#include "frontend/BuildDecoder.h"

#include <cmath>
#include <map>

using namespace mlir;

namespace fairy2 {
namespace {

constexpr char kEmbedding[] = "model.embed_tokens.weight";

class DecoderBuilder {
public:
  explicit DecoderBuilder(ModelBuilder &model)
      : model(model), config(model.config), block(model.config.block) {}

  Value build() {
    Value x = embed();
    for (int64_t i = 0; i < config.layers; ++i)
      if (const RopeConfig *rope = config.ropeOf(i); rope && !angles[rope])
        angles[rope] = model.ropeTable(*rope);
    for (int64_t i = 0; i < config.layers; ++i) {
      prefix = "model.layers." + std::to_string(i) + ".";
      x = residual(x, attention(norm(x, block.beforeAttention), i),
                   block.afterAttention);
      x = residual(x, mlp(norm(x, block.beforeMlp)), block.afterMlp);
    }
    return logits(x);
  }

private:
  Value embed() {
    Value x = model.embedding(kEmbedding);
    if (config.scalesEmbedding)
      x = model.scale(x, rootOfHiddenSize());
    return model.scale(x, config.embeddingMultiplier);
  }

  /// As transformers multiplies: in the embedding's type.
  double rootOfHiddenSize() const {
    float root = float(std::sqrt(double(config.hiddenSize)));
    const DType type = model.storedType(kEmbedding);
    uint8_t stored[4];
    fromFloats(type, &root, 1, stored);
    toFloats(type, stored, 1, &root);
    return root;
  }

  Value norm(Value x, const std::string &name) {
    return name.empty() ? x : model.rmsNorm(x, prefix + name + ".weight");
  }

  /// x + y, where y may be normalized and scaled on its way.
  Value residual(Value x, Value y, const std::string &normName) {
    return model.add(x,
                     model.scale(norm(y, normName), config.residualMultiplier));
  }

  Value attention(Value x, int64_t layer) {
    const std::string name = prefix + "self_attn.";
    const int64_t queries = config.heads * config.headDim;
    const int64_t keys = config.kvHeads * config.headDim;
    Value q, k, v;
    if (block.fusedProjections) {
      Value qkv = model.linear(x, name + "qkv_proj", queries + 2 * keys,
                               config.attentionBias);
      q = model.slice(qkv, 0, queries);
      k = model.slice(qkv, queries, keys);
      v = model.slice(qkv, queries + keys, keys);
    } else {
      q = model.linear(x, name + "q_proj", queries, config.attentionBias);
      k = model.linear(x, name + "k_proj", keys, config.attentionBias);
      v = model.linear(x, name + "v_proj", keys, config.attentionBias);
    }
    q = place(q, name + "q_norm.weight", config.heads, layer);
    k = place(k, name + "k_norm.weight", config.kvHeads, layer);
    // A buffer that old checkpoints carry; config.json says the same.
    model.ignore(name + "rotary_emb.inv_freq");
    return model.linear(model.attention(q, k, v, layer), name + "o_proj",
                        config.hiddenSize, config.attentionOutputBias);
  }

  /// Queries or keys, normalized and turned by their positions.
  Value place(Value x, const std::string &normName, int64_t heads,
              int64_t layer) {
    if (block.qkNorm != QkNorm::None)
      x = model.rmsNorm(x, normName, block.qkNorm == QkNorm::Heads ? heads : 1);
    const RopeConfig *rope = config.ropeOf(layer);
    return rope ? model.rope(x, angles[rope]) : x;
  }

  Value mlp(Value x) {
    const std::string name = prefix + "mlp.";
    const int64_t inner = config.intermediateSize;
    Value gate, up;
    if (block.fusedProjections) {
      Value both =
          model.linear(x, name + "gate_up_proj", 2 * inner, config.mlpBias);
      gate = model.slice(both, 0, inner);
      up = model.slice(both, inner, inner);
    } else {
      gate = model.linear(x, name + "gate_proj", inner, config.mlpBias);
      up = model.linear(x, name + "up_proj", inner, config.mlpBias);
    }
    return model.linear(model.gated(gate, up), name + "down_proj",
                        config.hiddenSize, config.mlpBias);
  }

  Value logits(Value x) {
    x = model.rmsNorm(model.wantedRows(x), "model.norm.weight");
    // Some tied checkpoints store the head again.
    if (config.tieWordEmbeddings)
      model.ignore("lm_head.weight");
    // Before the head: W (x / d) is (W x) / d, of fewer values.
    x = model.scale(x, 1 / config.logitsDivisor);
    x = model.head(x, config.tieWordEmbeddings ? kEmbedding : "lm_head.weight");
    return model.softCap(x, config.finalSoftCap);
  }

  ModelBuilder &model;
  const HFConfig &config;
  const BlockDesign &block;
  std::string prefix; ///< of the layer's tensors
  std::map<const RopeConfig *, Value> angles;
};

} // namespace

Value buildDecoder(ModelBuilder &model) {
  return DecoderBuilder(model).build();
}

} // namespace fairy2
