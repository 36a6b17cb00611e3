// SPDX-License-Identifier: Apache-2.0
//
// The function on tensors becomes calls of kernels; the kernels themselves are
// in loops/, one file per family of ops.
#include "passes/loops/PhaseLinear.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2LOWERTOLOOPSPASS
#include "passes/Passes.h.inc"

SmallVector<Buffer> scratchOf(Operation *op, LoopContext &context) {
  if (auto linear = dyn_cast<PackedLinearOp>(op)) {
    PackOp pack = context.pack(linear.getPackAttr());
    if (pack.getKind() == PackingKind::SignPlanes)
      return phaseLinearScratch(linear, pack, context);
  }
  return {};
}

namespace {

struct LowerToLoops : impl::Fairy2LowerToLoopsPassBase<LowerToLoops> {
  using Base::Base;

  void runOnOperation() override {
    const CpuTarget *target = findCpuTarget(cpu);
    if (!target) {
      getOperation().emitError("expected a cpu of ")
          << cpuTargetNames() << ", found '" << cpu << "'";
      return signalPassFailure();
    }
    if (batch < 1 || batch > 4096) {
      getOperation().emitError("expected a batch of 1 to 4096, found ")
          << batch;
      return signalPassFailure();
    }
    for (auto function :
         llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (!function.isDeclaration() &&
          failed(lower(function, *target)))
        return signalPassFailure();
  }

private:
  LogicalResult lower(func::FuncOp function, const CpuTarget &target) {
    if (failed(verifyEntry(function)))
      return failure();
    LoopContext context(getOperation(), function, target, batch);
    if (failed(context.planBuffers()))
      return failure();
    const std::string name = function.getName().str();
    function.setName(name + ".tensors");
    context.beginEntry(name);
    for (Operation &op : function.getBody().front().without_terminator())
      if (failed(lower(&op, context)))
        return failure();
    context.endEntry();
    return success();
  }

  /// The one signature that the runtime calls (runtime/include/fairy2/abi.h).
  static LogicalResult verifyEntry(func::FuncOp function) {
    FunctionType type = function.getFunctionType();
    MLIRContext *context = function.getContext();
    Type ids = RankedTensorType::get({ShapedType::kDynamic},
                                     IntegerType::get(context, 32));
    const bool takesIds =
        type.getNumInputs() == 5 &&
        llvm::all_of(type.getInputs().take_front(4),
                     [&](Type t) { return t == ids; }) &&
        isa<KVCacheType>(type.getInput(4));
    if (takesIds && type.getNumResults() == 1 &&
        isa<RankedTensorType>(type.getResult(0)) &&
        function.getBody().hasOneBlock())
      return success();
    return function.emitOpError(
        "expected (tokens, slots, positions, rows: tensor<?xi32>, cache: "
        "!fairy2.kv_cache) -> logits: tensor<?xVxf32> and one block");
  }

  static LogicalResult lower(Operation *op, LoopContext &context) {
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case<EmbeddingOp>(
            [&](auto op) { return lowerEmbedding(op, context), success(); })
        .Case<GatherRowsOp>(
            [&](auto op) { return lowerGatherRows(op, context), success(); })
        .Case<RmsNormOp>(
            [&](auto op) { return lowerRmsNorm(op, context), success(); })
        .Case<arith::AddFOp>(
            [&](auto op) { return lowerAdd(op, context), success(); })
        .Case<GatedActivationOp>([&](auto op) {
          return lowerGatedActivation(op, context), success();
        })
        .Case<QuantizeActivationsOp>([&](auto op) {
          return lowerQuantizeActivations(op, context), success();
        })
        .Case<RopeTableOp>(
            [&](auto op) { return lowerRopeTable(op, context), success(); })
        .Case<RopeOp>(
            [&](auto op) { return lowerRope(op, context), success(); })
        .Case<AttentionOp>(
            [&](auto op) { return lowerAttention(op, context), success(); })
        .Case<PackedLinearOp>([&](PackedLinearOp op) {
          PackOp pack = context.pack(op.getPackAttr());
          switch (pack.getKind()) {
          case PackingKind::SignPlanes:
            lowerPhaseLinear(op, pack, context);
            break;
          case PackingKind::Dense:
            lowerDenseLinear(op, pack, context);
            break;
          case PackingKind::Int8:
            lowerInt8Linear(op, pack, context);
            break;
          }
          return success();
        })
        .Default([](Operation *op) {
          return op->emitOpError("has no kernel; expected an op of stage "
                                 "packed");
        });
  }
};

} // namespace
} // namespace fairy2
