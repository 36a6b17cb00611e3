// SPDX-License-Identifier: Apache-2.0
//
// The list, written down in the order in which a forward pass uses it.
#include "frontend/DecoderPlan.h"

namespace fairy2 {
namespace {

class Planner {
public:
  Planner(const HFConfig &config, std::vector<DecoderParameter> &parameters)
      : config(config), block(config.block), parameters(parameters) {}

  size_t add(const std::string &name, ParameterRole role,
             std::vector<Axis> rows, std::optional<Axis> columns = {}) {
    int64_t extent = 0;
    for (const Axis axis : rows)
      extent += extentOf(axis, config);
    std::vector<int64_t> shape{extent};
    if (columns)
      shape.push_back(extentOf(*columns, config));
    parameters.push_back(
        {name, role, layer, std::move(rows), columns, std::move(shape)});
    return parameters.size() - 1;
  }

  size_t norm(const std::string &name, Axis axis) {
    return add(name + ".weight", ParameterRole::Norm, {axis});
  }

  PlannedLayer addLayer(int64_t index) {
    layer = index;
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    PlannedLayer result;
    result.beforeAttention = blockNorm(prefix, block.beforeAttention);
    addAttention(prefix + "self_attn.", result);
    result.afterAttention = blockNorm(prefix, block.afterAttention);
    result.beforeMlp = blockNorm(prefix, block.beforeMlp);
    addMlp(prefix + "mlp.", result);
    result.afterMlp = blockNorm(prefix, block.afterMlp);
    layer = -1;
    return result;
  }

private:
  PlannedLinear linear(const std::string &name, const std::vector<Axis> &rows,
                       Axis columns, bool hasBias) {
    PlannedLinear result;
    result.weight = add(name + ".weight", ParameterRole::Matrix, rows, columns);
    if (hasBias)
      result.bias = add(name + ".bias", ParameterRole::Bias, rows);
    return result;
  }

  std::optional<size_t> blockNorm(const std::string &prefix,
                                  const std::string &name) {
    if (name.empty())
      return std::nullopt;
    return norm(prefix + name, Axis::Hidden);
  }

  void addAttention(const std::string &prefix, PlannedLayer &result) {
    const auto input = [&](const char *name, const std::vector<Axis> &rows) {
      result.attentionInputs.push_back(
          linear(prefix + name, rows, Axis::Hidden, config.attentionBias));
    };
    if (block.fusedProjections) {
      input("qkv_proj", {Axis::Queries, Axis::Keys, Axis::Keys});
    } else {
      input("q_proj", {Axis::Queries});
      input("k_proj", {Axis::Keys});
      input("v_proj", {Axis::Keys});
    }
    if (block.qkNorm != QkNorm::None) {
      const bool byHead = block.qkNorm == QkNorm::Heads;
      result.queryNorm =
          norm(prefix + "q_norm", byHead ? Axis::HeadFeatures : Axis::Queries);
      result.keyNorm =
          norm(prefix + "k_norm", byHead ? Axis::HeadFeatures : Axis::Keys);
    }
    result.attentionOutput = linear(prefix + "o_proj", {Axis::Hidden},
                                    Axis::Queries, config.attentionOutputBias);
  }

  void addMlp(const std::string &prefix, PlannedLayer &result) {
    const auto input = [&](const char *name, const std::vector<Axis> &rows) {
      result.mlpInputs.push_back(
          linear(prefix + name, rows, Axis::Hidden, config.mlpBias));
    };
    if (block.fusedProjections) {
      input("gate_up_proj", {Axis::Units, Axis::Units});
    } else {
      input("gate_proj", {Axis::Units});
      input("up_proj", {Axis::Units});
    }
    result.mlpOutput = linear(prefix + "down_proj", {Axis::Hidden}, Axis::Units,
                              config.mlpBias);
  }

  const HFConfig &config;
  const BlockDesign &block;
  std::vector<DecoderParameter> &parameters;
  int64_t layer = -1;
};

} // namespace

int64_t extentOf(Axis axis, const HFConfig &config) {
  switch (axis) {
  case Axis::Vocabulary:
    return config.vocabSize;
  case Axis::Hidden:
    return config.hiddenSize;
  case Axis::Queries:
    return config.heads * config.headDim;
  case Axis::Keys:
    return config.kvHeads * config.headDim;
  case Axis::Units:
    return config.intermediateSize;
  case Axis::HeadFeatures:
    return config.headDim;
  }
  __builtin_unreachable();
}

int64_t DecoderParameter::count() const {
  int64_t product = 1;
  for (const int64_t extent : shape)
    product *= extent;
  return product;
}

DecoderPlan::DecoderPlan(const HFConfig &config) {
  Planner planner(config, parameters);
  embedding = planner.add(kTableName, ParameterRole::Embedding,
                          {Axis::Vocabulary}, Axis::Hidden);
  for (int64_t i = 0; i < config.layers; ++i)
    layers.push_back(planner.addLayer(i));
  finalNorm = planner.norm("model.norm", Axis::Hidden);
  head = config.tieWordEmbeddings
             ? embedding
             : planner.add(kHeadName, ParameterRole::Head, {Axis::Vocabulary},
                           Axis::Hidden);
}

bool isRotaryBuffer(const std::string &name) {
  for (const char *buffer :
       {"inv_freq", "original_inv_freq", "cos_cached", "sin_cached"})
    if (name.ends_with(std::string("rotary_emb.") + buffer))
      return true;
  return false;
}

} // namespace fairy2
