// SPDX-License-Identifier: Apache-2.0
#include "trainer/Model.h"

#include "dialect/Error.h"
#include "frontend/Checkpoint.h"
#include "trainer/GrowModel.h"
#include "trainer/Random.h"
#include "trainer/ops/Ops.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <cmath>
#include <cstring>

namespace fairy2 {
namespace {

std::string shapeText(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (const int64_t extent : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

bool endsWith(const std::string &text, std::string_view end) {
  return text.size() >= end.size() &&
         std::string_view(text).substr(text.size() - end.size()) == end;
}

} // namespace

std::vector<std::string> Model::architectures() {
  return {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM",
          "Qwen3ForCausalLM"};
}

size_t Model::add(const std::string &name, std::vector<int64_t> shape,
                  bool isLinear) {
  at::Tensor latent = at::empty(shape, at::kFloat);
  latent.requires_grad_(true);
  list.push_back({name, std::move(latent), isLinear});
  return list.size() - 1;
}

Model::Model(HFConfig config) : settings(std::move(config)) {
  const HFConfig &c = settings;
  const int64_t queries = c.heads * c.headDim, keys = c.kvHeads * c.headDim;
  embedding = add("model.embed_tokens.weight", {c.vocabSize, c.hiddenSize});
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
    const auto bias = [&](bool there, const std::string &name, int64_t n) {
      return there ? int64_t(add(name + ".bias", {n})) : int64_t(-1);
    };
    Layer layer;
    layer.inputNorm = add(prefix + "input_layernorm.weight", {c.hiddenSize});
    layer.q = add(attention + "q_proj.weight", {queries, c.hiddenSize}, true);
    layer.k = add(attention + "k_proj.weight", {keys, c.hiddenSize}, true);
    layer.v = add(attention + "v_proj.weight", {keys, c.hiddenSize}, true);
    layer.o = add(attention + "o_proj.weight", {c.hiddenSize, queries}, true);
    layer.qBias = bias(c.attentionBias, attention + "q_proj", queries);
    layer.kBias = bias(c.attentionBias, attention + "k_proj", keys);
    layer.vBias = bias(c.attentionBias, attention + "v_proj", keys);
    layer.oBias =
        bias(c.attentionOutputBias, attention + "o_proj", c.hiddenSize);
    if (c.qkNorm) {
      layer.qNorm = int64_t(add(attention + "q_norm.weight", {c.headDim}));
      layer.kNorm = int64_t(add(attention + "k_norm.weight", {c.headDim}));
    }
    layer.postNorm =
        add(prefix + "post_attention_layernorm.weight", {c.hiddenSize});
    const std::vector<int64_t> wide = {c.intermediateSize, c.hiddenSize};
    layer.gate = add(mlp + "gate_proj.weight", wide, true);
    layer.up = add(mlp + "up_proj.weight", wide, true);
    layer.down =
        add(mlp + "down_proj.weight", {c.hiddenSize, c.intermediateSize}, true);
    layer.gateBias = bias(c.mlpBias, mlp + "gate_proj", c.intermediateSize);
    layer.upBias = bias(c.mlpBias, mlp + "up_proj", c.intermediateSize);
    layer.downBias = bias(c.mlpBias, mlp + "down_proj", c.hiddenSize);
    layers.push_back(layer);
  }
  finalNorm = add("model.norm.weight", {c.hiddenSize});
  head = c.tieWordEmbeddings
             ? embedding
             : add("lm_head.weight", {c.vocabSize, c.hiddenSize});
}

Model Model::load(const std::filesystem::path &folder) {
  Model model(HFConfig::read(folder, architectures()));
  const Checkpoint checkpoint = Checkpoint::open(folder);
  for (Parameter &parameter : model.list) {
    const TensorInfo &tensor = checkpoint.tensor(parameter.name);
    const std::vector<int64_t> shape = parameter.latent.sizes().vec();
    if (tensor.shape != shape)
      throw Error(tensor.file + ": tensor '" + tensor.name +
                  "': expected shape " + shapeText(shape) +
                  " as config.json says, found " + shapeText(tensor.shape));
    checkpoint.readFloats(tensor, 0, parameter.latent.numel(),
                          parameter.latent.mutable_data_ptr<float>());
  }
  return model;
}

Model Model::random(const HFConfig &config, uint64_t seed) {
  Model model(config);
  for (Parameter &parameter : model.list) {
    float *values = parameter.latent.mutable_data_ptr<float>();
    const int64_t count = parameter.latent.numel();
    if (parameter.latent.dim() == 1) {
      const bool isBias = endsWith(parameter.name, ".bias");
      std::fill(values, values + count, isBias ? 0.f : 1.f);
      continue;
    }
    const bool intoResidual = endsWith(parameter.name, "o_proj.weight") ||
                              endsWith(parameter.name, "down_proj.weight");
    const double deviation =
        intoResidual ? 0.02 / std::sqrt(2.0 * double(config.layers)) : 0.02;
    RandomStream stream(seed, parameter.name);
    for (int64_t i = 0; i < count; ++i)
      values[i] = float(deviation * stream.normal());
  }
  return model;
}

Model Model::grow(const HFConfig &config, const std::filesystem::path &folder,
                  uint64_t seed) {
  const Model small = load(folder);
  Model model(config);
  const GrowthMaps maps(small.settings, config);
  for (size_t i = 0; i < model.list.size(); ++i)
    maps.grow(small.list[i], seed, model.list[i]);
  return model;
}

int64_t Model::parameterCount() const {
  int64_t count = 0;
  for (const Parameter &parameter : list)
    count += parameter.latent.numel();
  return count;
}

bool Model::isQuantized(const Parameter &parameter, const Method *method) {
  return method && parameter.isLinear &&
         method->accepts(parameter.latent.size(0), parameter.latent.size(1));
}

Weights Model::weights(const Numerics &numerics) const {
  Weights weights;
  weights.numerics = numerics;
  for (const Parameter &parameter : list)
    weights.tensors.push_back(
        isQuantized(parameter, numerics.method)
            ? quantizeStraightThrough(parameter.latent, *numerics.method,
                                      parameter.name, numerics.lambda)
            : parameter.latent);
  const Parameter &headParameter = list[head];
  const bool quantizes = numerics.quantizeHead && numerics.method &&
                         numerics.method->accepts(headParameter.latent.size(0),
                                                  headParameter.latent.size(1));
  weights.head =
      quantizes
          ? quantizeStraightThrough(headParameter.latent, *numerics.method,
                                    "lm_head.weight", numerics.lambda)
          : weights.tensors[head];
  weights.numerics.quantizeHead = quantizes;
  return weights;
}

at::Tensor Model::input(const Weights &weights, const at::Tensor &x) const {
  return weights.numerics.method && weights.numerics.quantizeActivations
             ? fakeQuantizeActivations(x)
             : x;
}

at::Tensor Model::linear(const Weights &weights, size_t matrix, int64_t bias,
                         const at::Tensor &x) const {
  const at::Tensor transposed = weights.tensors[matrix].t();
  return bias < 0 ? at::mm(x, transposed)
                  : at::addmm(weights.tensors[size_t(bias)], x, transposed);
}

at::Tensor Model::hidden(const Weights &weights, const Batch &batch) const {
  const std::vector<at::Tensor> &w = weights.tensors;
  const double epsilon = settings.rmsNormEpsilon;
  const auto headNorm = [&](const at::Tensor &x, int64_t norm) {
    if (norm < 0)
      return x;
    return rmsNorm(x.view({-1, settings.headDim}), w[size_t(norm)], epsilon)
        .view(x.sizes());
  };
  at::Tensor x = at::embedding(w[embedding], batch.tokens);
  for (const Layer &layer : layers) {
    const at::Tensor normed =
        input(weights, rmsNorm(x, w[layer.inputNorm], epsilon));
    const at::Tensor q =
        headNorm(linear(weights, layer.q, layer.qBias, normed), layer.qNorm);
    const at::Tensor k =
        headNorm(linear(weights, layer.k, layer.kBias, normed), layer.kNorm);
    const at::Tensor v = linear(weights, layer.v, layer.vBias, normed);
    const at::Tensor attended =
        rotaryAttention(q, k, v, settings.headDim, batch.plan);
    x = x.add(linear(weights, layer.o, layer.oBias, input(weights, attended)));
    const at::Tensor wide =
        input(weights, rmsNorm(x, w[layer.postNorm], epsilon));
    const at::Tensor gated =
        swiGlu(linear(weights, layer.gate, layer.gateBias, wide),
               linear(weights, layer.up, layer.upBias, wide));
    x = x.add(
        linear(weights, layer.down, layer.downBias, input(weights, gated)));
  }
  x = rmsNorm(x, w[finalNorm], epsilon);
  return weights.numerics.quantizeHead ? input(weights, x) : x;
}

} // namespace fairy2
