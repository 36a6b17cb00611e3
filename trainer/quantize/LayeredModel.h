// SPDX-License-Identifier: Apache-2.0
//
// A float model of whose matrices those of one layer are in memory at a time.
#pragma once

#include "trainer/model/Model.h"

#include <vector>

namespace fairy2::trainer {

class LayeredModel {
public:
  /// `isCoded` tells of each parameter whether it is a matrix to code; columns
  /// are folded where it is (FoldColumns.h).
  LayeredModel(Model model, FillParameter fill, std::vector<bool> isCoded)
      : own(std::move(model)), fill(std::move(fill)),
        codedFlags(std::move(isCoded)) {}

  const Model &model() const { return own; }
  const std::vector<bool> &isCoded() const { return codedFlags; }

  /// Parameters of a unit (Model::units()), as weights to multiply with; those
  /// of other units are not defined but for norms and biases.
  Weights load(size_t unit);
  /// Frees the unit's matrices, embedding or head.
  void release(size_t unit);
  /// All of the model, for what needs it at one time.
  Weights loadAll();

  /// A parameter's values, which are read again where they are not in memory.
  at::Tensor latent(size_t index) const;
  /// Replaces the values of a norm.
  void set(size_t index, std::span<const float> values);

private:
  Model own;
  const FillParameter fill;
  const std::vector<bool> codedFlags;
};

} // namespace fairy2::trainer
