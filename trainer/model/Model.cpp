// SPDX-License-Identifier: Apache-2.0
//
// The list of parameters, and the pass through embedding, layers and head.
#include "trainer/model/Model.h"

#include "runtime/support/Error.h"
#include "trainer/Device.h"
#include "trainer/Random.h"
#include "trainer/model/GrowModel.h"
#include "trainer/model/LayerNodes.h"
#include "trainer/ops/Ops.h"

#include <ATen/ops/_foreach_copy.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>

#include <cmath>
#include <numeric>

namespace fairy2::trainer {
namespace {

/// What config.json may ask of the compiler, and not of these layers.
void refuseUntrainable(const HFConfig &config) {
  if (config.activation != Activation::Silu)
    throw Error("config.json: field 'hidden_act': fairy2-train supports silu "
                "alone");
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

int64_t Parameter::count() const {
  int64_t count = 1;
  for (const int64_t extent : shape)
    count *= extent;
  return count;
}

size_t Model::add(const std::string &name, std::vector<int64_t> shape,
                  size_t unit, bool isLinear) {
  list.push_back({name, std::move(shape), unit, isLinear, {}});
  return list.size() - 1;
}

Model::Model(HFConfig config) : settings(std::move(config)) {
  const HFConfig &c = settings;
  refuseUntrainable(c);
  const int64_t queries = c.heads * c.headDim, keys = c.kvHeads * c.headDim;
  embedding = add("model.embed_tokens.weight", {c.vocabSize, c.hiddenSize}, 0);
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
    const size_t unit = size_t(i) + 1;
    const auto vector = [&](bool there, const std::string &name, int64_t n) {
      return there ? int64_t(add(name, {n}, unit)) : int64_t(-1);
    };
    const auto matrix = [&](const std::string &name, int64_t n, int64_t m) {
      return add(name + ".weight", {n, m}, unit, /*isLinear=*/true);
    };
    Layer layer;
    layer.inputNorm =
        add(prefix + "input_layernorm.weight", {c.hiddenSize}, unit);
    layer.q = matrix(attention + "q_proj", queries, c.hiddenSize);
    layer.k = matrix(attention + "k_proj", keys, c.hiddenSize);
    layer.v = matrix(attention + "v_proj", keys, c.hiddenSize);
    layer.o = matrix(attention + "o_proj", c.hiddenSize, queries);
    layer.qBias = vector(c.attentionBias, attention + "q_proj.bias", queries);
    layer.kBias = vector(c.attentionBias, attention + "k_proj.bias", keys);
    layer.vBias = vector(c.attentionBias, attention + "v_proj.bias", keys);
    layer.oBias =
        vector(c.attentionOutputBias, attention + "o_proj.bias", c.hiddenSize);
    const bool headNorms = c.block.qkNorm == QkNorm::Heads;
    layer.qNorm = vector(headNorms, attention + "q_norm.weight", c.headDim);
    layer.kNorm = vector(headNorms, attention + "k_norm.weight", c.headDim);
    layer.postNorm =
        add(prefix + "post_attention_layernorm.weight", {c.hiddenSize}, unit);
    layer.gate = matrix(mlp + "gate_proj", c.intermediateSize, c.hiddenSize);
    layer.up = matrix(mlp + "up_proj", c.intermediateSize, c.hiddenSize);
    layer.down = matrix(mlp + "down_proj", c.hiddenSize, c.intermediateSize);
    layer.gateBias =
        vector(c.mlpBias, mlp + "gate_proj.bias", c.intermediateSize);
    layer.upBias = vector(c.mlpBias, mlp + "up_proj.bias", c.intermediateSize);
    layer.downBias = vector(c.mlpBias, mlp + "down_proj.bias", c.hiddenSize);
    layers.push_back(layer);
  }
  finalNorm = add("model.norm.weight", {c.hiddenSize}, 0);
  head = c.tieWordEmbeddings
             ? embedding
             : add("lm_head.weight", {c.vocabSize, c.hiddenSize}, 0);
}

Model Model::filled(const HFConfig &config, const FillParameter &fill) {
  Model model(config);
  for (Parameter &parameter : model.list) {
    parameter.latent = at::empty(parameter.shape, at::kFloat);
    fill(parameter);
  }
  return model;
}

Model Model::load(const std::filesystem::path &folder) {
  const HFConfig config = HFConfig::read(folder, architectures());
  return filled(config, fromCheckpoint(config, folder));
}

FillParameter Model::fromRandom(const HFConfig &config, uint64_t seed) {
  const double layers = double(config.layers);
  return [layers, seed](Parameter &parameter) {
    float *values = parameter.latent.mutable_data_ptr<float>();
    const int64_t count = parameter.count();
    if (parameter.shape.size() == 1) {
      const bool isBias = endsWith(parameter.name, ".bias");
      std::fill(values, values + count, isBias ? 0.f : 1.f);
      return;
    }
    const bool intoResidual = endsWith(parameter.name, "o_proj.weight") ||
                              endsWith(parameter.name, "down_proj.weight");
    const double deviation =
        intoResidual ? 0.02 / std::sqrt(2.0 * layers) : 0.02;
    RandomStream stream(seed, parameter.name);
    for (int64_t i = 0; i < count; ++i)
      values[i] = float(deviation * stream.normal());
  };
}

FillParameter Model::fromSmaller(const HFConfig &config,
                                 const std::filesystem::path &folder,
                                 uint64_t seed) {
  const auto small = std::make_shared<const Model>(load(folder));
  const GrowthMaps maps(small->settings, config);
  return [small, maps, seed](Parameter &parameter) {
    for (const Parameter &from : small->list)
      if (from.name == parameter.name)
        maps.grow(from, seed, parameter);
  };
}

int64_t Model::parameterCount() const {
  int64_t count = 0;
  for (const Parameter &parameter : list)
    count += parameter.count();
  return count;
}

bool Model::isQuantized(const Parameter &parameter, const Method *method) {
  return method && parameter.isLinear &&
         method->accepts(parameter.shape[0], parameter.shape[1]);
}

at::Tensor Model::effective(size_t index, const at::Tensor &latent,
                            const Numerics &numerics) const {
  const Parameter &parameter = list[index];
  return isQuantized(parameter, numerics.method)
             ? quantizedWeight(latent, *numerics.method, parameter.name,
                               numerics.lambda)
             : latent.detach();
}

void Model::setHead(Weights &weights) const {
  const Numerics &numerics = weights.numerics;
  const std::vector<int64_t> &shape = list[head].shape;
  if (!numerics.quantizeHead || !numerics.method ||
      !numerics.method->accepts(shape[0], shape[1])) {
    weights.numerics.quantizeHead = false;
    weights.head = weights.tensors[head];
    return;
  }
  weights.head = quantizedWeight(weights.tensors[head], *numerics.method,
                                 "lm_head.weight", numerics.lambda)
                     .requires_grad_(true);
}

Weights Model::weights(const Numerics &numerics) const {
  Weights weights;
  weights.numerics = numerics;
  std::vector<NamedLatent> quantized;
  for (const Parameter &parameter : list)
    if (isQuantized(parameter, numerics.method))
      quantized.push_back({parameter.latent, parameter.name});
  std::vector<at::Tensor> results;
  if (numerics.method)
    results = quantizedWeights(quantized, *numerics.method, numerics.lambda);
  auto next = results.begin();
  for (const Parameter &parameter : list)
    weights.tensors.push_back((isQuantized(parameter, numerics.method)
                                   ? *next++
                                   : parameter.latent.detach())
                                  .requires_grad_(true));
  weights.rounded.resize(list.size());
  std::vector<size_t> all(list.size());
  std::iota(all.begin(), all.end(), size_t(0));
  round(weights, all);
  setHead(weights);
  return weights;
}

void Model::round(Weights &weights, std::span<const size_t> parameters) const {
  if (!weights.numerics.bf16)
    return;
  std::vector<at::Tensor> from, to;
  for (const size_t parameter : parameters)
    if (list[parameter].isLinear) {
      from.push_back(weights.tensors[parameter].detach());
      to.push_back(at::empty_like(from.back(), at::kBFloat16));
      weights.rounded[parameter] = to.back();
    }
  if (!from.empty())
    at::_foreach_copy_(to, from);
}

ActivationForm Model::form(const Weights &weights, const at::Tensor &x) const {
  const Numerics &numerics = weights.numerics;
  return {numerics.method && numerics.quantizeActivations,
          numerics.bf16 && deviceKernels(x)};
}

at::Tensor Model::linear(const Weights &weights, size_t matrix, int64_t bias,
                         const at::Tensor &x) const {
  const at::Tensor &weight = weights.tensors[matrix];
  if (weights.numerics.bf16) {
    const at::Tensor y = linearBFloat16(x, weight, weights.rounded[matrix]);
    return bias < 0 ? y
                    : y.add(weights.tensors[size_t(bias)].to(y.scalar_type()));
  }
  return bias < 0 ? at::mm(x, weight.t())
                  : at::addmm(weights.tensors[size_t(bias)], x, weight.t());
}

at::Tensor Model::layer(size_t index, const Weights &weights,
                        const Batch &batch, const at::Tensor &x) const {
  const Layer &layer = layers[index];
  const std::vector<at::Tensor> &w = weights.tensors;
  const double epsilon = settings.rmsNormEpsilon;
  const auto headNorm = [&](const at::Tensor &x, int64_t norm) {
    if (norm < 0)
      return x;
    return rmsNorm(x.view({-1, settings.headDim}), w[size_t(norm)], epsilon)
        .view(x.sizes());
  };
  const ActivationForm form = this->form(weights, x);
  const at::Tensor normed = rmsNorm(x, w[layer.inputNorm], epsilon, form);
  const at::Tensor q =
      headNorm(linear(weights, layer.q, layer.qBias, normed), layer.qNorm);
  const at::Tensor k =
      headNorm(linear(weights, layer.k, layer.kBias, normed), layer.kNorm);
  const at::Tensor v = linear(weights, layer.v, layer.vBias, normed);
  const bool slides = settings.layerAttention[index].slides;
  const at::Tensor attended = rotaryAttention(
      q, k, v, settings.headDim, slides ? batch.sliding : batch.plan);
  const auto [y, wide] = addRmsNorm(
      x,
      linear(weights, layer.o, layer.oBias,
             form.quantizes ? fakeQuantizeActivations(attended) : attended),
      w[layer.postNorm], epsilon, form);
  const at::Tensor gated =
      swiGlu(linear(weights, layer.gate, layer.gateBias, wide),
             linear(weights, layer.up, layer.upBias, wide), form.quantizes);
  return y.add(linear(weights, layer.down, layer.downBias, gated));
}

at::Tensor Model::finish(const Weights &weights, const at::Tensor &x) const {
  ActivationForm form = this->form(weights, x);
  form.quantizes = form.quantizes && weights.numerics.quantizeHead;
  return rmsNorm(x, weights.tensors[finalNorm], settings.rmsNormEpsilon, form);
}

at::Tensor Model::hidden(const Weights &weights, const Batch &batch) const {
  at::Tensor x = at::embedding(weights.tensors[embedding], batch.tokens);
  for (size_t i = 0; i < layers.size(); ++i)
    x = layer(i, weights, batch, x);
  return finish(weights, x);
}

at::Tensor Model::hidden(WeightSource &source, const Batch &batch) const {
  at::Tensor x =
      at::embedding(source.weights().tensors[embedding], batch.tokens);
  for (size_t i = 0; i < layers.size(); ++i)
    x = source.recomputes()
            ? recomputedLayer(*this, source, batch, i, x)
            : layer(i, source.weights(), batch, beginLayer(source, i, x));
  return finish(source.weights(), x);
}

} // namespace fairy2::trainer
