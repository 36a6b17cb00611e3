// SPDX-License-Identifier: Apache-2.0
//
// What a linear layer's weights become: one class per quantization method, one
// row per name in Methods.cpp.
#pragma once

#include "dialect/phase/Phase.h"
#include "dialect/phase/Signs.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fairy2::trainer {

struct NamedLatent {
  at::Tensor latent; ///< [rows, columns]
  std::string name;  ///< in errors
};

class Method {
public:
  virtual ~Method() = default;

  /// Replaces the dense matrix [rows, columns] at `a` by the nearest one that
  /// the method can store. `name` names the tensor in errors.
  virtual void quantize(const float *a, int64_t rows, int64_t columns,
                        const std::string &name, float *out) const = 0;

  /// The same for tensors of any device. Here one by one by way of the host's
  /// memory; methods that a device has kernels for stay there.
  virtual std::vector<at::Tensor>
  quantized(const std::vector<NamedLatent> &latents) const;

  /// Whether a layer of this shape can be quantized; others stay dense.
  virtual bool accepts(int64_t rows, int64_t columns) const {
    return rows > 0 && columns > 0;
  }

  /// Bits of the codes and float32 scales that stand for a matrix.
  virtual double storedBits(int64_t rows, int64_t columns) const = 0;

  /// The options with which fairy2-compile finds the same codes in the latent
  /// weights.
  virtual std::string compilerOptions() const = 0;

  /// How the weights are stored as complex phases; nothing for other methods.
  virtual std::optional<PhaseScheme> phaseScheme() const {
    return std::nullopt;
  }
  /// How they are stored as real signs; nothing for other methods.
  virtual std::optional<SignScheme> signScheme() const { return std::nullopt; }
  /// The method with mixtures of codes in place of codes, the softer the higher
  /// `temperature`, which is above 0; null when it has no such form. Towards 0
  /// its results go to quantize()'s, but for entries halfway between two codes.
  virtual std::unique_ptr<Method> softened(double /*temperature*/) const {
    return nullptr;
  }
  /// The phases whose dense form quantize() gives; for methods that have a
  /// phaseScheme() alone.
  virtual PhaseMatrix phases(const float *a, int64_t rows, int64_t columns,
                             const std::string &name) const;
};

/// The scales of a method, by the names that recipes have for them.
struct ScaleOptions {
  std::string scales = "tensor";    ///< what shares them; or row, tile
  std::string stageScales = "mean"; ///< how those of stages relate; or binary
  /// What they are: int8, float, or auto, the grid that suits.
  std::string scaleGrid = "auto";
};

/// The method of that name, or null for "none". Throws Error naming the nearest
/// name, or when the method has no such scales.
std::unique_ptr<Method> makeMethod(const std::string &name,
                                   const ScaleOptions &options = {});
std::vector<std::string> methodNames();

/// latent + lambda * (quantize(latent) - latent), outside any graph. What a
/// pass multiplies with is a leaf, and the gradient that it collects is the
/// latent's: the map from dense A to U, W and back is orthogonal up to a
/// factor, so dLoss/dA is dLoss/dA_q exactly, and the rounding counts as the
/// identity.
std::vector<at::Tensor>
quantizedWeights(const std::vector<NamedLatent> &latents, const Method &method,
                 double lambda);
at::Tensor quantizedWeight(const at::Tensor &latent, const Method &method,
                           const std::string &name, double lambda = 1);

} // namespace fairy2::trainer
