// SPDX-License-Identifier: Apache-2.0
//
// The decoder-only transformers of config.json as a list of named parameters
// and a forward pass over effective weights.
#pragma once

#include "frontend/DecoderPlan.h"
#include "trainer/data/Batches.h"
#include "trainer/methods/Methods.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace fairy2::trainer {

struct Parameter : DecoderParameter {
  at::Tensor latent; ///< float32; undefined where other ranks hold parts

  size_t unit() const { return size_t(layer + 1); } ///< see Model::units()
  /// A layer's matrix, which a method may quantize.
  bool isMatrix() const { return role == ParameterRole::Matrix; }
};

/// Sets all values of a parameter whose latent is allocated.
using FillParameter = std::function<void(Parameter &)>;

/// How the linear layers compute.
struct Numerics {
  const Method *method = nullptr; ///< null: dense
  bool quantizeActivations = false;
  bool quantizeHead = false;
  double lambda = 1; ///< share of the quantized weight, see Methods.h
  /// Matrix products of bfloat16; on devices with kernels also the activations
  /// between them, all but the residual stream.
  bool bf16 = false;
};

/// What a forward pass multiplies with, one leaf tensor per parameter, which
/// collects the gradient of the parameter's latent.
struct Weights {
  std::vector<at::Tensor> tensors;
  /// Layers' matrices as bfloat16, with Numerics::bf16; others undefined.
  std::vector<at::Tensor> rounded;
  at::Tensor head; ///< another leaf when the head alone is quantized
  /// What the outputs of a layer's matrix are multiplied with before its bias
  /// is added, one factor for each; empty, or undefined for some: nothing.
  std::vector<at::Tensor> rowFactors;
  Numerics numerics;
  /// If set, told of the output of every layer's linear map, by its weight's
  /// index.
  std::function<void(size_t weight, const at::Tensor &output)> tap;
};

/// Weights that are not all there at all times, and want to know how far a pass
/// is. Lives until backward has run.
class WeightSource {
public:
  virtual ~WeightSource() = default;

  virtual const Weights &weights() const = 0;
  /// Whether layers keep only their input and compute the rest again in
  /// backward.
  virtual bool recomputes() const = 0;
  /// Makes the weights of a unit available until release().
  virtual void acquire(size_t unit, bool forBackward) = 0;
  virtual void release(size_t unit) = 0;
  /// Called when backward has added a layer's whole gradient to its leaves.
  virtual void gradientsDone(size_t unit) = 0;
};

class Model {
public:
  /// A model without values: its parameters' names and shapes.
  explicit Model(HFConfig config);
  /// All weights from the checkpoint in `folder`. Throws Error.
  static Model load(const ModelFolder &folder);
  /// The same model still without values, and what fills it. Throws Error.
  static std::pair<Model, FillParameter> opened(const ModelFolder &folder);
  /// Gives a parameter memory and values.
  static void fill(Parameter &parameter, const FillParameter &values);
  /// A model with values from `fill`.
  static Model filled(const HFConfig &config, const FillParameter &fill);

  /// Values from the checkpoint in `folder`; of a packed one, what its codes
  /// and scales stand for. Throws Error, also for a tensor that a model of that
  /// config has not.
  static FillParameter fromCheckpoint(const HFConfig &config,
                                      const ModelFolder &folder);
  /// Normal weights of deviation 0.02, projections back into the residual
  /// stream smaller by sqrt(2 * layers), norms 1 and biases 0.
  static FillParameter fromRandom(const HFConfig &config, uint64_t seed);
  /// Values with which the model, wider than the one in `folder`, computes the
  /// same function: channels, heads and units are repeated, and the weights
  /// that read repeated ones are shared out unevenly so that they can grow
  /// apart (Net2Net, Chen et al., arXiv 1511.05641). Throws Error.
  static FillParameter fromSmaller(const HFConfig &config,
                                   const ModelFolder &folder, uint64_t seed);

  const HFConfig &config() const { return settings; }
  const DecoderPlan &decoderPlan() const { return plan; }
  /// The type in which the embedding is, or will be, stored: its factor is
  /// rounded to it. Without a call, the one that config.json declares.
  void setStoredType(DType type) { storedType = type; }
  DType embeddingType() const { return storedType; }
  /// Throws Error naming what config.json asks for and kernels of devices do
  /// not compute.
  static void refuseOnDevice(const HFConfig &config);
  std::vector<Parameter> &parameters() { return list; }
  const std::vector<Parameter> &parameters() const { return list; }
  int64_t parameterCount() const;
  /// Parameters that a pass needs at one time: unit 0 is embedding, final norm
  /// and head, unit 1 + i is layer i.
  size_t units() const { return plan.layers.size() + 1; }
  /// Whether the method quantizes this parameter.
  static bool isQuantized(const Parameter &parameter, const Method *method);

  /// What a pass multiplies with in place of parameter `index`, whose latent is
  /// given: the quantized matrix, or the latent itself.
  at::Tensor effective(size_t index, const at::Tensor &latent,
                       const Numerics &numerics) const;
  /// Sets weights.rounded of parameters from weights.tensors, where the
  /// numerics ask for it.
  void round(Weights &weights, std::span<const size_t> parameters) const;
  /// Sets weights.head from weights.tensors.
  void setHead(Weights &weights) const;
  /// Effective weights of all parameters. They serve any number of passes until
  /// latents change.
  Weights weights(const Numerics &numerics) const;
  /// The latents themselves, as far as they are there, for passes that train
  /// nothing.
  Weights latents() const;
  /// The parameter that the head is made of.
  size_t headParameter() const { return plan.head; }

  /// The final norm's output, [tokens, hidden size].
  at::Tensor hidden(const Weights &weights, const Batch &batch) const;
  /// The same, layer by layer. Unit 0 must be available already.
  at::Tensor hidden(WeightSource &source, const Batch &batch) const;
  /// Layer `layer` alone: [tokens, hidden size] to the same.
  at::Tensor layer(size_t layer, const Weights &weights, const Batch &batch,
                   const at::Tensor &x) const;

  /// What hidden() does before the first layer and after the last.
  at::Tensor embed(const Weights &weights, const Batch &batch) const;
  at::Tensor finish(const Weights &weights, const at::Tensor &x) const;
  /// What layer() does, from one linear map's input to that of the next: of the
  /// residual stream, what the maps before attention read; of that, what the
  /// one behind it reads; and the stream with what that one adds. The same for
  /// the MLP.
  at::Tensor attentionInput(size_t layer, const Weights &weights,
                            const at::Tensor &x) const;
  at::Tensor attended(size_t layer, const Weights &weights, const Batch &batch,
                      const at::Tensor &input) const;
  at::Tensor addAttention(size_t layer, const Weights &weights,
                          const at::Tensor &x,
                          const at::Tensor &attended) const;
  at::Tensor mlpInput(size_t layer, const Weights &weights,
                      const at::Tensor &x) const;
  at::Tensor gated(size_t layer, const Weights &weights,
                   const at::Tensor &input) const;
  at::Tensor addMlp(size_t layer, const Weights &weights, const at::Tensor &x,
                    const at::Tensor &gated) const;

private:
  using Parts = std::initializer_list<int64_t>;

  at::Tensor linear(const Weights &weights, const PlannedLinear &map,
                    const at::Tensor &x) const;
  /// The results of several maps of x, or the parts of one fused map's, which
  /// have so many features.
  std::vector<at::Tensor> linears(const Weights &weights,
                                  const std::vector<PlannedLinear> &maps,
                                  Parts features, const at::Tensor &x) const;
  /// What a norm multiplies with.
  at::Tensor normWeight(const Weights &weights, size_t norm) const;
  /// The residual stream x as attention or MLP read it, after their norm.
  at::Tensor branchInput(const Weights &weights, std::optional<size_t> norm,
                         const at::Tensor &x) const;
  /// What attention or MLP add to the residual stream.
  at::Tensor branchOutput(const Weights &weights, std::optional<size_t> norm,
                          const at::Tensor &y) const;
  /// Queries or keys, each part that is as long as the norm by itself.
  at::Tensor normedParts(const Weights &weights, std::optional<size_t> norm,
                         const at::Tensor &x) const;
  /// What the layers' inputs become; x is the residual stream.
  ActivationForm form(const Weights &weights, const at::Tensor &x) const;

  HFConfig settings;
  DecoderPlan plan;
  DType storedType;
  std::vector<Parameter> list; ///< the plan's
};

} // namespace fairy2::trainer
