// SPDX-License-Identifier: Apache-2.0
//
// The forward pass as BuildDecoder.cpp writes it for the compiler, in
// operations that can be differentiated.
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
#include <ATen/ops/gelu.h>
#include <ATen/ops/mm.h>

#include <cmath>
#include <numeric>

namespace fairy2::trainer {
void Model::refuseOnDevice(const HFConfig &config) {
  const auto refuse = [](bool asked, const char *field) {
    if (asked)
      throw Error("config.json: field '" + std::string(field) +
                  "': is not supported with train.device=cuda");
  };
  refuse(config.attentionSoftCap.has_value(), "attn_logit_softcapping");
  refuse(config.finalSoftCap.has_value(), "final_logit_softcapping");
  refuse(config.rope.partialFactor != 1, "partial_rotary_factor");
}

Model::Model(HFConfig config)
    : settings(std::move(config)), plan(settings),
      storedType(settings.declaredType.value_or(DType::F32)) {
  for (const DecoderParameter &parameter : plan.parameters)
    list.push_back({parameter, {}});
}

void Model::fill(Parameter &parameter, const FillParameter &values) {
  parameter.latent = at::empty(parameter.shape, at::kFloat);
  values(parameter);
}

Model Model::filled(const HFConfig &config, const FillParameter &fill) {
  Model model(config);
  for (Parameter &parameter : model.list)
    Model::fill(parameter, fill);
  return model;
}

FillParameter Model::fromRandom(const HFConfig &config, uint64_t seed) {
  const double layers = double(config.layers);
  const float norm = config.block.unitOffset ? 0 : 1;
  return [layers, norm, seed](Parameter &parameter) {
    float *values = parameter.latent.mutable_data_ptr<float>();
    const int64_t count = parameter.count();
    if (parameter.role == ParameterRole::Norm ||
        parameter.role == ParameterRole::Bias) {
      const bool isBias = parameter.role == ParameterRole::Bias;
      std::fill(values, values + count, isBias ? 0.f : norm);
      return;
    }
    const double deviation =
        parameter.endsBranch() ? 0.02 / std::sqrt(2.0 * layers) : 0.02;
    RandomStream stream(seed, parameter.name);
    for (int64_t i = 0; i < count; ++i)
      values[i] = float(deviation * stream.normal());
  };
}

FillParameter Model::fromSmaller(const HFConfig &config,
                                 const ModelFolder &folder, uint64_t seed) {
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
  return method && parameter.isMatrix() &&
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
  const std::vector<int64_t> &shape = list[plan.head].shape;
  if (!numerics.quantizeHead || !numerics.method ||
      !numerics.method->accepts(shape[0], shape[1])) {
    weights.numerics.quantizeHead = false;
    weights.head = weights.tensors[plan.head];
    return;
  }
  weights.head = quantizedWeight(weights.tensors[plan.head], *numerics.method,
                                 kHeadName, numerics.lambda)
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

Weights Model::latents() const {
  Weights weights;
  for (const Parameter &parameter : list)
    weights.tensors.push_back(
        parameter.latent.defined() ? parameter.latent.detach() : at::Tensor());
  setHead(weights);
  return weights;
}

void Model::round(Weights &weights, std::span<const size_t> parameters) const {
  if (!weights.numerics.bf16)
    return;
  std::vector<at::Tensor> from, to;
  for (const size_t parameter : parameters)
    if (list[parameter].isMatrix()) {
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

at::Tensor Model::linear(const Weights &weights, const PlannedLinear &map,
                         const at::Tensor &x) const {
  const at::Tensor &weight = weights.tensors[map.weight];
  const at::Tensor *bias = map.bias ? &weights.tensors[*map.bias] : nullptr;
  const bool hasFactors =
      !weights.rowFactors.empty() && weights.rowFactors[map.weight].defined();
  at::Tensor y;
  if (weights.numerics.bf16) {
    y = linearBFloat16(x, weight, weights.rounded[map.weight]);
    if (bias)
      y = y.add(bias->to(y.scalar_type()));
  } else if (hasFactors) {
    y = at::mm(x, weight.t()).mul(weights.rowFactors[map.weight]);
    if (bias)
      y = y.add(*bias);
  } else {
    y = bias ? at::addmm(*bias, x, weight.t()) : at::mm(x, weight.t());
  }
  if (weights.tap)
    weights.tap(map.weight, y);
  return y;
}

std::vector<at::Tensor> Model::linears(const Weights &weights,
                                       const std::vector<PlannedLinear> &maps,
                                       Parts features,
                                       const at::Tensor &x) const {
  std::vector<at::Tensor> results;
  if (maps.size() > 1) {
    for (const PlannedLinear &map : maps)
      results.push_back(linear(weights, map, x));
    return results;
  }
  const at::Tensor fused = linear(weights, maps[0], x);
  int64_t begin = 0;
  for (const int64_t count : features) {
    results.push_back(fused.narrow(1, begin, count).contiguous());
    begin += count;
  }
  return results;
}

at::Tensor Model::normWeight(const Weights &weights, size_t norm) const {
  const at::Tensor &weight = weights.tensors[norm];
  return settings.block.unitOffset ? weight.add(1) : weight;
}

at::Tensor Model::branchInput(const Weights &weights,
                              std::optional<size_t> norm,
                              const at::Tensor &x) const {
  const ActivationForm form = this->form(weights, x);
  if (norm)
    return rmsNorm(x, normWeight(weights, *norm), settings.rmsNormEpsilon,
                   form);
  const at::Tensor y = form.quantizes ? fakeQuantizeActivations(x) : x;
  return form.bf16 ? y.to(at::kBFloat16) : y;
}

at::Tensor Model::branchOutput(const Weights &weights,
                               std::optional<size_t> norm,
                               const at::Tensor &y) const {
  const at::Tensor normed =
      norm ? rmsNorm(y, normWeight(weights, *norm), settings.rmsNormEpsilon)
           : y;
  return settings.residualMultiplier == 1
             ? normed
             : normed.mul(settings.residualMultiplier);
}

at::Tensor Model::normedParts(const Weights &weights,
                              std::optional<size_t> norm,
                              const at::Tensor &x) const {
  if (!norm)
    return x;
  return rmsNorm(x.view({-1, list[*norm].shape[0]}), normWeight(weights, *norm),
                 settings.rmsNormEpsilon)
      .view(x.sizes());
}

at::Tensor Model::attentionInput(size_t index, const Weights &weights,
                                 const at::Tensor &x) const {
  return branchInput(weights, plan.layers[index].beforeAttention, x);
}

at::Tensor Model::attended(size_t index, const Weights &weights,
                           const Batch &batch, const at::Tensor &x) const {
  const PlannedLayer &layer = plan.layers[index];
  const int64_t queries = extentOf(Axis::Queries, settings);
  const int64_t keys = extentOf(Axis::Keys, settings);
  const std::vector<at::Tensor> qkv =
      linears(weights, layer.attentionInputs, {queries, keys, keys}, x);
  const at::Tensor attended =
      rotaryAttention(normedParts(weights, layer.queryNorm, qkv[0]),
                      normedParts(weights, layer.keyNorm, qkv[1]), qkv[2],
                      settings.headDim, batch.planOf(settings, int64_t(index)),
                      {settings.attentionScale, settings.attentionSoftCap});
  return form(weights, x).quantizes ? fakeQuantizeActivations(attended)
                                    : attended;
}

at::Tensor Model::addAttention(size_t index, const Weights &weights,
                               const at::Tensor &x,
                               const at::Tensor &attended) const {
  const PlannedLayer &layer = plan.layers[index];
  return x.add(branchOutput(weights, layer.afterAttention,
                            linear(weights, layer.attentionOutput, attended)));
}

at::Tensor Model::mlpInput(size_t index, const Weights &weights,
                           const at::Tensor &x) const {
  return branchInput(weights, plan.layers[index].beforeMlp, x);
}

at::Tensor Model::gated(size_t index, const Weights &weights,
                        const at::Tensor &x) const {
  const PlannedLayer &layer = plan.layers[index];
  const int64_t units = settings.intermediateSize;
  const bool quantizes = form(weights, x).quantizes;
  const std::vector<at::Tensor> both =
      linears(weights, layer.mlpInputs, {units, units}, x);
  if (settings.activation == Activation::Silu)
    return swiGlu(both[0], both[1], quantizes);
  const at::Tensor gated = at::gelu(both[0], "tanh").mul(both[1]);
  return quantizes ? fakeQuantizeActivations(gated) : gated;
}

at::Tensor Model::addMlp(size_t index, const Weights &weights,
                         const at::Tensor &x, const at::Tensor &gated) const {
  const PlannedLayer &layer = plan.layers[index];
  return x.add(branchOutput(weights, layer.afterMlp,
                            linear(weights, layer.mlpOutput, gated)));
}

at::Tensor Model::layer(size_t index, const Weights &weights,
                        const Batch &batch, const at::Tensor &x) const {
  const PlannedLayer &layer = plan.layers[index];
  const at::Tensor heads =
      attended(index, weights, batch, attentionInput(index, weights, x));
  at::Tensor sum, wide;
  if (layer.beforeMlp) {
    const at::Tensor added =
        branchOutput(weights, layer.afterAttention,
                     linear(weights, layer.attentionOutput, heads));
    const SumAndNorm both =
        addRmsNorm(x, added, normWeight(weights, *layer.beforeMlp),
                   settings.rmsNormEpsilon, form(weights, x));
    sum = both.sum;
    wide = both.normed;
  } else {
    sum = addAttention(index, weights, x, heads);
    wide = mlpInput(index, weights, sum);
  }
  return addMlp(index, weights, sum, gated(index, weights, wide));
}

at::Tensor Model::embed(const Weights &weights, const Batch &batch) const {
  at::Tensor x = at::embedding(weights.tensors[plan.embedding], batch.tokens);
  if (settings.scalesEmbedding)
    x = x.mul(settings.embeddingRoot(storedType));
  return settings.embeddingMultiplier == 1
             ? x
             : x.mul(settings.embeddingMultiplier);
}

at::Tensor Model::finish(const Weights &weights, const at::Tensor &x) const {
  ActivationForm form = this->form(weights, x);
  form.quantizes = form.quantizes && weights.numerics.quantizeHead;
  const at::Tensor normed = rmsNorm(x, normWeight(weights, plan.finalNorm),
                                    settings.rmsNormEpsilon, form);
  // As fairy2-compile: before the head, which has more outputs than inputs.
  return settings.logitsDivisor == 1 ? normed
                                     : normed.mul(1 / settings.logitsDivisor);
}

at::Tensor Model::hidden(const Weights &weights, const Batch &batch) const {
  at::Tensor x = embed(weights, batch);
  for (size_t i = 0; i < plan.layers.size(); ++i)
    x = layer(i, weights, batch, x);
  return finish(weights, x);
}

at::Tensor Model::hidden(WeightSource &source, const Batch &batch) const {
  at::Tensor x = embed(source.weights(), batch);
  for (size_t i = 0; i < plan.layers.size(); ++i)
    x = source.recomputes()
            ? recomputedLayer(*this, source, batch, i, x)
            : layer(i, source.weights(), batch, beginLayer(source, i, x));
  return finish(source.weights(), x);
}

} // namespace fairy2::trainer
