// SPDX-License-Identifier: Apache-2.0
//
// The function on tensors becomes calls of kernels; the kernels themselves are
// in loops/, one file per family of ops.
#include "passes/cpu/loops/Lowerings.h"

#include "dialect/Fairy2ModelOps.h"
#include "dialect/Fairy2PackedOps.h"
#include "dialect/Fairy2QuantizedOps.h"
#include "passes/Passes.h"
#include "passes/cpu/loops/LoopContext.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2LOWERTOLOOPSPASS
#include "passes/Passes.h.inc"

namespace {

struct LowerToLoops : impl::Fairy2LowerToLoopsPassBase<LowerToLoops> {
  using Base::Base;

  void runOnOperation() override {
    const CpuTarget *row = requireCpuTarget(getOperation(), cpu);
    if (!row)
      return signalPassFailure();
    if (batch < 1 || batch > kMaxBatch) {
      getOperation().emitError("expected a batch of 1 to ")
          << kMaxBatch << ", found " << int64_t(batch);
      return signalPassFailure();
    }
    KernelTable kernels;
    for (auto function :
         llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (!function.isDeclaration() &&
          failed(lowerFunction(function, *row, kernels)))
        return signalPassFailure();
  }

private:
  LogicalResult lowerFunction(func::FuncOp function, const CpuTarget &target,
                              KernelTable &kernels) {
    if (failed(verifyEntry(function)) || failed(verifyOps(function)))
      return failure();
    LoopContext context(getOperation(), function, target, batch, kernels);
    if (failed(context.planBuffers()))
      return failure();
    const std::string name = function.getName().str();
    function.setName(name + ".tensors");
    context.beginEntry(name);
    for (Operation &op : function.getBody().front().without_terminator())
      if (failed(lowerOp(&op, context, OpsWithKernels())))
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
    const bool takesIds = type.getNumInputs() == 5 &&
                          llvm::all_of(type.getInputs().take_front(4),
                                       [&](Type t) { return t == ids; }) &&
                          isa<KVCacheType>(type.getInput(4));
    auto logits = type.getNumResults() == 1
                      ? dyn_cast<RankedTensorType>(type.getResult(0))
                      : RankedTensorType();
    if (takesIds && logits && logits.getElementType().isF32() &&
        logits.getRank() == 2 && function.getBody().hasOneBlock())
      return success();
    return function.emitOpError(
        "expected (tokens, slots, positions, rows: tensor<?xi32>, cache: "
        "!fairy2.kv_cache) -> logits: tensor<?xVxf32> and one block");
  }

  /// What the verifiers of the ops leave open and kernels rely on.
  static LogicalResult verifyOps(func::FuncOp function) {
    auto isPacked = [](auto op) -> LogicalResult {
      Operation *weight =
          SymbolTable::lookupNearestSymbolFrom(op, op.getWeightAttr());
      if (isa<PackOp>(weight))
        return success();
      return op.emitOpError("expected a fairy2.pack named ")
             << op.getWeightAttr() << ", found a " << weight->getName();
    };
    auto isRows = [](arith::AddFOp op) -> LogicalResult {
      auto type = dyn_cast<RankedTensorType>(op.getType());
      if (type && type.getRank() == 2 && !type.isDynamicDim(1) &&
          type.getElementType().isF32())
        return success();
      return op.emitOpError("expected rows of float32 features, found ")
             << op.getType();
    };
    for (Operation &op : function.getBody().front())
      if (failed(llvm::TypeSwitch<Operation *, LogicalResult>(&op)
                     .Case<EmbeddingOp, RmsNormOp>(isPacked)
                     .Case<arith::AddFOp>(isRows)
                     .Default(success())))
        return failure();
    // Rows of logits are not padded; only the kernels of linears and caps heed
    // that.
    Operation *terminator = function.getBody().front().getTerminator();
    Value logits = terminator->getOperand(0);
    Value product = beforeSoftCap(logits);
    auto head = product.getDefiningOp<PackedLinearOp>();
    if (!head || head.getNumResults() != 1 || !logits.hasOneUse() ||
        !product.hasOneUse())
      return terminator->emitOpError("expected logits that are the only result "
                                     "of a fairy2.packed_linear and have no "
                                     "other use");
    for (auto cap : function.getBody().front().getOps<SoftCapOp>())
      if (cap.getResult() != logits)
        return cap.emitOpError("expected to be applied to the logits only");
    return success();
  }

  template <typename... Ops>
  static LogicalResult lowerOp(Operation *op, LoopContext &context,
                               OpList<Ops...>) {
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case<SliceOp>([](auto) { return success(); }) // A view, no kernel.
        .template Case<Ops...>(
            [&](auto op) { return fairy2::lower(op, context), success(); })
        .Default([](Operation *op) {
          return op->emitOpError("has no kernel; expected an op of stage "
                                 "packed");
        });
  }
};

} // namespace
} // namespace fairy2
