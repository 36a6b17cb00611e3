// SPDX-License-Identifier: Apache-2.0
//
// The decoder-only transformers of config.json (Llama, Mistral, Qwen2, Qwen3)
// as a list of named parameters and a forward pass over effective weights.
#pragma once

#include "frontend/HFConfig.h"
#include "trainer/Batches.h"
#include "trainer/methods/Methods.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace fairy2 {

struct Parameter {
  std::string name;      ///< as transformers calls it
  at::Tensor latent;     ///< float32, asks for its gradient
  bool isLinear = false; ///< a layer's matrix that a method may quantize
};

/// How the linear layers compute.
struct Numerics {
  const Method *method = nullptr; ///< null: dense
  bool quantizeActivations = false;
  bool quantizeHead = false;
  double lambda = 1; ///< share of the quantized weight, see Methods.h
};

/// What a forward pass multiplies with, one tensor per parameter.
struct Weights {
  std::vector<at::Tensor> tensors;
  at::Tensor head;
  Numerics numerics;
};

class Model {
public:
  /// The architectures that forward() knows.
  static std::vector<std::string> architectures();

  /// All weights from the checkpoint in `folder`. Throws Error.
  static Model load(const std::filesystem::path &folder);
  /// Normal weights of deviation 0.02, projections back into the residual
  /// stream smaller by sqrt(2 * layers), norms 1 and biases 0.
  static Model random(const HFConfig &config, uint64_t seed);
  /// A wider model that computes the same function as the smaller one in
  /// `folder`: channels, heads and units are repeated, and the weights that
  /// read repeated ones are shared out unevenly so that they can grow apart
  /// (Net2Net, Chen et al., arXiv 1511.05641). Throws Error.
  static Model grow(const HFConfig &config, const std::filesystem::path &folder,
                    uint64_t seed);

  const HFConfig &config() const { return settings; }
  std::vector<Parameter> &parameters() { return list; }
  const std::vector<Parameter> &parameters() const { return list; }
  int64_t parameterCount() const;
  /// Whether the method quantizes this parameter.
  static bool isQuantized(const Parameter &parameter, const Method *method);

  /// Effective weights, one autograd node for each quantized one. They serve
  /// any number of forward and backward passes until latents change.
  Weights weights(const Numerics &numerics) const;

  /// The final norm's output, [tokens, hidden size].
  at::Tensor hidden(const Weights &weights, const Batch &batch) const;

private:
  explicit Model(HFConfig config);
  size_t add(const std::string &name, std::vector<int64_t> shape,
             bool isLinear = false);
  at::Tensor linear(const Weights &weights, size_t matrix, int64_t bias,
                    const at::Tensor &x) const;
  at::Tensor input(const Weights &weights, const at::Tensor &x) const;

  struct Layer {
    size_t inputNorm, q, k, v, o, postNorm, gate, up, down;
    int64_t qBias = -1, kBias = -1, vBias = -1, oBias = -1; ///< -1: none
    int64_t gateBias = -1, upBias = -1, downBias = -1;
    int64_t qNorm = -1, kNorm = -1;
  };

  HFConfig settings;
  std::vector<Parameter> list;
  std::vector<Layer> layers;
  size_t embedding = 0, finalNorm = 0, head = 0; ///< head == embedding: tied
};

} // namespace fairy2
