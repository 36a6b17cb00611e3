// SPDX-License-Identifier: Apache-2.0
//
// Decoder-only transformers with RMS norms, rotary embedding, grouped key heads
// and a gated MLP. What one architecture does differently from the next stands
// in Architectures.cpp; here each difference is one line.
#include "frontend/BuildDecoder.h"

#include <initializer_list>
#include <map>

using namespace mlir;

namespace fairy2 {
namespace {

class DecoderBuilder {
public:
  explicit DecoderBuilder(ModelBuilder &model)
      : model(model), config(model.config), plan(model.plan) {}

  Value build() {
    Value x = embed();
    for (int64_t i = 0; i < config.layers; ++i)
      if (const RopeConfig *rope = config.ropeOf(i); rope && !angles[rope])
        angles[rope] = model.ropeTable(*rope);
    for (int64_t i = 0; i < config.layers; ++i) {
      const PlannedLayer &layer = plan.layers[size_t(i)];
      x = residual(x, attention(norm(x, layer.beforeAttention), layer, i),
                   layer.afterAttention);
      x = residual(x, mlp(norm(x, layer.beforeMlp), layer), layer.afterMlp);
    }
    return logits(x);
  }

private:
  Value embed() {
    const DecoderParameter &table = plan.parameters[plan.embedding];
    Value x = model.embedding(table);
    if (config.scalesEmbedding)
      x = model.scale(x, config.embeddingRoot(model.storedType(table.name)));
    return model.scale(x, config.embeddingMultiplier);
  }

  Value norm(Value x, std::optional<size_t> weight) {
    return weight ? model.rmsNorm(x, plan.parameters[*weight]) : x;
  }

  Value linear(Value x, const PlannedLinear &map) {
    return model.linear(x, plan.parameters[map.weight],
                        map.bias ? &plan.parameters[*map.bias] : nullptr);
  }

  /// The results of several maps of x, or the parts of one fused map's, which
  /// have `counts` features.
  std::vector<Value> linears(Value x, const std::vector<PlannedLinear> &maps,
                             std::initializer_list<int64_t> counts) {
    std::vector<Value> results;
    if (maps.size() == 1) {
      Value fused = linear(x, maps[0]);
      int64_t begin = 0;
      for (const int64_t count : counts) {
        results.push_back(model.slice(fused, begin, count));
        begin += count;
      }
      return results;
    }
    for (const PlannedLinear &map : maps)
      results.push_back(linear(x, map));
    return results;
  }

  /// x + y, where y may be normalized and scaled on its way.
  Value residual(Value x, Value y, std::optional<size_t> normWeight) {
    return model.add(
        x, model.scale(norm(y, normWeight), config.residualMultiplier));
  }

  Value attention(Value x, const PlannedLayer &layer, int64_t index) {
    const int64_t queries = extentOf(Axis::Queries, config);
    const int64_t keys = extentOf(Axis::Keys, config);
    const std::vector<Value> qkv =
        linears(x, layer.attentionInputs, {queries, keys, keys});
    Value q = place(qkv[0], layer.queryNorm, index);
    Value k = place(qkv[1], layer.keyNorm, index);
    return linear(model.attention(q, k, qkv[2], index), layer.attentionOutput);
  }

  /// Queries or keys, normalized and turned by their positions.
  Value place(Value x, std::optional<size_t> normWeight, int64_t layer) {
    x = norm(x, normWeight);
    const RopeConfig *rope = config.ropeOf(layer);
    return rope ? model.rope(x, angles[rope]) : x;
  }

  Value mlp(Value x, const PlannedLayer &layer) {
    const int64_t units = extentOf(Axis::Units, config);
    const std::vector<Value> both = linears(x, layer.mlpInputs, {units, units});
    return linear(model.gated(both[0], both[1]), layer.mlpOutput);
  }

  Value logits(Value x) {
    x = norm(model.wantedRows(x), plan.finalNorm);
    // Before the head: W (x / d) is (W x) / d, of fewer values.
    x = model.scale(x, 1 / config.logitsDivisor);
    x = model.head(x, plan.parameters[plan.head]);
    return model.softCap(x, config.finalSoftCap);
  }

  ModelBuilder &model;
  const HFConfig &config;
  const DecoderPlan &plan;
  std::map<const RopeConfig *, Value> angles;
};

} // namespace

Value buildDecoder(ModelBuilder &model) {
  return DecoderBuilder(model).build();
}

} // namespace fairy2
