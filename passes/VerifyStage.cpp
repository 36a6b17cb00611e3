// SPDX-License-Identifier: Apache-2.0
//
// The stage table of dialect/README.md, made executable.
#include "passes/Passes.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2VERIFYSTAGEPASS
#include "passes/Passes.h.inc"

namespace {

constexpr StringRef kStages[] = {"model", "quantized", "packed", "loops",
                                 "llvm"};
enum Stage { Model, Quantized, Packed, Loops, Llvm };

/// The stages, first to last, in which an op may stand.
struct Span {
  Stage first, last;
};

Span spanOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, Span>(op)
      .Case<LinearOp>([](auto) { return Span{Model, Quantized}; })
      .Case<EmbeddingOp, GatherRowsOp, RmsNormOp, RopeTableOp, RopeOp,
            AttentionOp, GatedActivationOp, ScaleOp, SoftCapOp, SliceOp>(
          [](auto) { return Span{Model, Packed}; })
      .Case<WidelyLinearOp>([](auto) { return Span{Quantized, Model}; })
      .Case<PhaseLinearOp, SignLinearOp, Int8LinearOp>(
          [](auto) { return Span{Quantized, Quantized}; })
      .Case<QuantizeActivationsOp>([](auto) { return Span{Quantized, Packed}; })
      .Case<WeightOp>([](auto) { return Span{Model, Loops}; })
      .Case<PhaseQuantizeOp, SignQuantizeOp>(
          [](auto) { return Span{Quantized, Loops}; })
      .Case<PackOp>([](auto) { return Span{Packed, Loops}; })
      .Case<PackedLinearOp>([](auto) { return Span{Packed, Packed}; })
      .Case<TableLookupOp, Sum4AccumulateOp, Dot4AccumulateOp>(
          [](auto) { return Span{Loops, Loops}; })
      .Case<ModuleOp, func::FuncOp, func::ReturnOp>(
          [](auto) { return Span{Model, Loops}; })
      .Default([](Operation *op) {
        const StringRef dialect = op->getName().getDialectNamespace();
        if (dialect == "llvm")
          return Span{Loops, Llvm};
        if (dialect == "scf" || dialect == "memref" || dialect == "vector")
          return Span{Loops, Loops};
        return Span{Model, Loops};
      });
}

struct VerifyStage : impl::Fairy2VerifyStagePassBase<VerifyStage> {
  using Base::Base;

  void runOnOperation() override {
    const auto *found = llvm::find(kStages, stage);
    if (found == std::end(kStages)) {
      getOperation().emitError("expected stage model, quantized, packed, loops "
                               "or llvm, found '")
          << stage << "'";
      return signalPassFailure();
    }
    const auto now = Stage(found - std::begin(kStages));
    auto result = getOperation().walk([&](Operation *op) {
      Span span = spanOf(op);
      if (isa<ModuleOp>(op) || (span.first <= now && now <= span.last))
        return WalkResult::advance();
      op->emitOpError("belongs to stage ")
          << kStages[span.first] << " and may not be in stage " << kStages[now];
      return WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
    markAllAnalysesPreserved();
  }
};

} // namespace
} // namespace fairy2
