// SPDX-License-Identifier: Apache-2.0
//
// What changes a rank's latents by their gradients: the frame that every
// optimizer shares. A rule of its own says what it
// remembers of each value; where that is kept, saved and planned is told here.
#pragma once

#include "trainer/kernels/DeviceKernels.h"
#include "trainer/optimize/OptimizerTable.h"
#include "trainer/optimize/ShardedWeights.h"
#include "trainer/run/Recipe.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace fairy2::trainer {

class Optimizer {
public:
  virtual ~Optimizer() = default;

  /// One step along the gradients of ShardedWeights.
  void step(double learningRate);

  /// The sum of the squared gradients of all slices.
  double squaredNorm() const;
  /// Multiplies all gradients.
  void scaleGradients(double factor);

  /// What is remembered of each value, by names that files know.
  const std::vector<std::string> &stateNames() const { return names; }
  /// State `name` of this rank's part of a unit, flat float32 as
  /// OwnPart::latents, to save and to overwrite in place.
  const at::Tensor &state(size_t unit, size_t name) const {
    return states[unit][name];
  }
  int64_t stepsDone() const;
  void setStepsDone(int64_t steps);

protected:
  /// All states begin as zeros.
  Optimizer(ShardedWeights &weights, std::vector<std::string> stateNames);

  /// A slice with what is remembered of its values, in the order of
  /// stateNames().
  struct Piece {
    Slice slice;
    std::vector<at::Tensor> states;
  };
  /// Updates the values of all pieces; count has this step in it. A rule that
  /// is made for flat slices takes them as they are. One for whole matrices
  /// looks at Slice::shape, and where ranks hold parts of a matrix it asks
  /// ShardedWeights::gathered() for the others'.
  virtual void update(double learningRate) = 0;

  ShardedWeights &weights;
  std::vector<Piece> pieces;
  at::Tensor count; ///< of the steps done: one float32

private:
  double squaredNormOnDevice(const DeviceKernels &device) const;

  const std::vector<std::string> names;
  std::vector<std::vector<at::Tensor>> states; ///< by unit, then by name
  std::vector<at::Tensor> unitGradients; ///< ShardedWeights::gradientParts()
};

/// The optimizer that train.optimizer names. Throws Error.
std::unique_ptr<Optimizer> makeOptimizer(ShardedWeights &weights,
                                         const Recipe::Train &settings);

} // namespace fairy2::trainer
