// SPDX-License-Identifier: Apache-2.0
//
// The optimizers by name, and what each remembers: all that recipes, plans and
// saved states need to know of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fairy2::trainer {

enum class OptimizerRule { AdamW };

struct OptimizerKind {
  std::string name; ///< as train.optimizer
  OptimizerRule rule;
  /// Of each value that is updated: float32 numbers, by names that files know.
  std::vector<std::string> stateNames;

  int64_t stateBytesPerValue() const { return 4 * int64_t(stateNames.size()); }
};

/// The optimizer of that name. Throws Error.
const OptimizerKind &optimizerKind(const std::string &name);
std::vector<std::string> optimizerNames();

} // namespace fairy2::trainer
