// SPDX-License-Identifier: Apache-2.0
//
// The table of optimizers, and look-ups in it.
#include "trainer/optimize/OptimizerTable.h"

#include "runtime/support/Error.h"
#include "runtime/support/Words.h"

namespace fairy2::trainer {
namespace {

const std::vector<OptimizerKind> &kinds() {
  static const std::vector<OptimizerKind> table = {
      {"adamw", OptimizerRule::AdamW, {"means", "squares"}},
  };
  return table;
}

} // namespace

const OptimizerKind &optimizerKind(const std::string &name) {
  for (const OptimizerKind &kind : kinds())
    if (kind.name == name)
      return kind;
  throw Error("train.optimizer: expected one of " + joined(optimizerNames()) +
              ", found '" + name + "'");
}

std::vector<std::string> optimizerNames() {
  std::vector<std::string> names;
  for (const OptimizerKind &kind : kinds())
    names.push_back(kind.name);
  return names;
}

} // namespace fairy2::trainer
