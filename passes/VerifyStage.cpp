// SPDX-License-Identifier: Apache-2.0
//
// Every op is asked for its stages (dialect/Stages.h); what other dialects'
// ops may stand in is one table.
#include "dialect/Stages.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2VERIFYSTAGEPASS
#include "passes/Passes.h.inc"

namespace {

/// Ops of a dialect that has no row may stand in no stage: what a pass brings
/// in unforeseen is found here and not by its user.
struct DialectStages {
  StringLiteral dialect;
  StageSpan stages;
};
constexpr DialectStages kDialects[] = {
    {"builtin", {Stage::Model, Stage::Llvm}},
    {"func", {Stage::Model, Stage::Loops}},
    {"arith", {Stage::Model, Stage::Loops}},
    {"math", {Stage::Loops, Stage::Loops}},
    {"memref", {Stage::Loops, Stage::Loops}},
    {"scf", {Stage::Loops, Stage::Loops}},
    {"vector", {Stage::Loops, Stage::Loops}},
    {"llvm", {Stage::Loops, Stage::Llvm}},
};

/// Nothing where the op has no stages.
std::optional<StageSpan> stagesOf(Operation *op) {
  if (auto staged = dyn_cast<StagedOp>(op))
    return staged.getStages();
  for (const DialectStages &row : kDialects)
    if (row.dialect == op->getName().getDialectNamespace())
      return row.stages;
  return std::nullopt;
}

struct VerifyStage : impl::Fairy2VerifyStagePassBase<VerifyStage> {
  using Base::Base;

  void runOnOperation() override {
    if (!stage.hasValue()) {
      getOperation().emitError("stage: expected model, quantized, packed, "
                               "loops or llvm, found none");
      return signalPassFailure();
    }
    auto result = getOperation().walk([&](Operation *op) {
      return succeeded(verify(op)) ? WalkResult::advance()
                                   : WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
    markAllAnalysesPreserved();
  }

private:
  LogicalResult verify(Operation *op) {
    const std::optional<StageSpan> stages = stagesOf(op);
    if (stages && stages->holds(stage))
      return success();
    InFlightDiagnostic error = op->emitOpError();
    if (!stages)
      error << "belongs to no stage";
    else if (stages->isEmpty())
      error << "stands between two passes";
    else
      error << "belongs to stage " << nameOf(stages->first);
    return error << " and may not be in stage " << nameOf(stage);
  }
};

} // namespace
} // namespace fairy2
