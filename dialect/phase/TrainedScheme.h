// SPDX-License-Identifier: Apache-2.0
//
// What a checkpoint was trained for: the trainer writes it down, the compiler
// takes it where nobody asks for anything else. Plain C++.
#pragma once

#include "dialect/phase/Phase.h"
#include "dialect/phase/Signs.h"

#include <optional>

namespace fairy2 {

struct TrainedScheme {
  /// Of the linear layers, at most one of the two; neither: they are dense.
  std::optional<PhaseScheme> phases = std::nullopt;
  std::optional<SignScheme> signs = std::nullopt;
  bool quantizesActivations = true;
  bool quantizesHead = false;

  bool operator==(const TrainedScheme &) const = default;
};

} // namespace fairy2
