// SPDX-License-Identifier: Apache-2.0
//
// The stages that a module goes through, and how an op says in which of them it
// may stand.
#pragma once

#include "mlir/IR/OpDefinition.h"

#include <array>

namespace fairy2 {

/// First to last; README.md says what a module of each holds.
enum class Stage { Model, Quantized, Packed, Loops, Llvm };
constexpr std::array kStages = {Stage::Model, Stage::Quantized, Stage::Packed,
                                Stage::Loops, Stage::Llvm};
/// "model", "quantized", "packed", "loops" or "llvm".
const char *nameOf(Stage stage);

/// The stages from `first` to `last`; none where `last` is the earlier one.
struct StageSpan {
  Stage first, last;

  bool holds(Stage stage) const { return first <= stage && stage <= last; }
  bool isEmpty() const { return last < first; }
};

/// The trait behind Fairy2_Stages.
template <Stage first, Stage last> struct StandsIn {
  template <typename ConcreteOp>
  class Impl : public mlir::OpTrait::TraitBase<ConcreteOp, Impl> {
  public:
    static StageSpan getStages() { return {first, last}; }
  };
};

} // namespace fairy2

#include "dialect/Fairy2StagedOp.h.inc"
