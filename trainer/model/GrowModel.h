// SPDX-License-Identifier: Apache-2.0
//
// How the parameters of a smaller model become those of a wider one with the
// same function.
#pragma once

#include "frontend/DecoderPlan.h"

#include <cstdint>
#include <vector>

namespace fairy2::trainer {

struct Parameter;

class GrowthMaps {
public:
  /// Throws Error when `large` is not `small` with whole multiples of its
  /// hidden size, heads and key-value heads and at least its intermediate size.
  GrowthMaps(const HFConfig &small, const HFConfig &large);

  /// Fills `to` from the parameter of the same name.
  void grow(const Parameter &from, uint64_t seed, Parameter &to) const;

private:
  using Map = std::vector<int64_t>; ///< new index -> old index

  /// The map of an axis; null when it does not grow.
  const Map *mapOf(Axis axis) const;
  /// The map of a first dimension, which may be of several axes.
  Map rowsOf(const DecoderParameter &parameter) const;

  Map hidden, queries, keys, units;
  HFConfig small, large;
  /// What embeddings are multiplied by so that they reach the layers as in the
  /// smaller model, and the final norm so that logits do.
  double embeddingFactor = 1, normFactor = 1;
};

} // namespace fairy2::trainer
