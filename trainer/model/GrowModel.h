// SPDX-License-Identifier: Apache-2.0
//
// How the parameters of a smaller model become those of a wider one with the
// same function.
#pragma once

#include "frontend/HFConfig.h"

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

  /// The map of dimension `dim` of the tensor called `name`; null when the
  /// dimension does not grow.
  const Map *mapOf(const std::string &name, int dim) const;

  Map hidden, queries, keys, units;
  double logitFactor = 1; ///< what a tied head must be divided by
};

} // namespace fairy2::trainer
