// SPDX-License-Identifier: Apache-2.0
//
// Parallel steps become shares of threads that meet in a barrier.
#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2DISTRIBUTETHREADSPASS
#include "passes/Passes.h.inc"

namespace {

struct DistributeThreads
    : impl::Fairy2DistributeThreadsPassBase<DistributeThreads> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isDeclaration())
        continue;
      if (function.isPrivate())
        distributeKernel(function);
      else
        distributeEntry(function);
    }
  }

private:
  /// Appends (thread, threads) to the arguments.
  static std::pair<Value, Value> addThreadArguments(func::FuncOp function) {
    OpBuilder builder(function);
    SmallVector<Value> values;
    for (int i = 0; i < 2; ++i) {
      const unsigned at = function.getNumArguments();
      (void)function.insertArgument(at, builder.getIndexType(), {},
                                    function.getLoc());
      values.push_back(function.getArgument(at));
    }
    return {values[0], values[1]};
  }

  /// Thread t of n takes the iterations [count t / n, count (t + 1) / n).
  static void distributeKernel(func::FuncOp kernel) {
    auto [thread, threads] = addThreadArguments(kernel);
    // Parallel steps stand one after the other or in branches.
    SmallVector<scf::ForallOp> steps;
    kernel.walk([&](scf::ForallOp forall) { steps.push_back(forall); });
    if (steps.empty())
      return giveToFirstThread(kernel, thread);
    for (scf::ForallOp forall : steps) {
      ImplicitLocOpBuilder b(forall.getLoc(), forall);
      Value count = getValueOrCreateConstantIndexOp(
          b, b.getLoc(), forall.getMixedUpperBound()[0]);
      Value one = arith::ConstantIndexOp::create(b, 1);
      auto share = [&](Value t) -> Value {
        return arith::DivUIOp::create(b, arith::MulIOp::create(b, count, t),
                                      threads);
      };
      auto loop = scf::ForOp::create(
          b, share(thread), share(arith::AddIOp::create(b, thread, one)), one);
      forall.getInductionVar(0).replaceAllUsesWith(loop.getInductionVar());
      Block *from = forall.getBody(), *to = loop.getBody();
      to->getOperations().splice(to->getTerminator()->getIterator(),
                                 from->getOperations(), from->begin(),
                                 from->getTerminator()->getIterator());
      forall.erase();
    }
  }

  /// A step of one iteration, which may have become straight code.
  static void giveToFirstThread(func::FuncOp kernel, Value thread) {
    Block &body = kernel.getBody().front();
    ImplicitLocOpBuilder b(kernel.getLoc(), kernel.getContext());
    b.setInsertionPointToStart(&body);
    Value isFirst = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, thread,
                                          arith::ConstantIndexOp::create(b, 0));
    auto branch = scf::IfOp::create(b, isFirst, /*withElseRegion=*/false);
    Block *to = branch.thenBlock();
    to->getOperations().splice(
        to->getTerminator()->getIterator(), body.getOperations(),
        std::next(branch->getIterator()), body.getTerminator()->getIterator());
  }

  /// Passes the thread's number on, and meets after every step but the last:
  /// the end of the function is a meeting of its own.
  void distributeEntry(func::FuncOp entry) {
    auto [thread, threads] = addThreadArguments(entry);
    Type pointer = LLVM::LLVMPointerType::get(&getContext());
    const unsigned first = entry.getNumArguments();
    for (unsigned i = 0; i < 2; ++i)
      (void)entry.insertArgument(first + i, pointer, {}, entry.getLoc());
    Value barrier = entry.getArgument(first);
    Value pool = entry.getArgument(first + 1);
    auto meeting = LLVM::LLVMFunctionType::get(
        LLVM::LLVMVoidType::get(&getContext()), {pointer});
    SmallVector<func::CallOp> calls(entry.getOps<func::CallOp>());
    for (func::CallOp call : calls) {
      SmallVector<Value> operands(call.getOperands());
      operands.append({thread, threads});
      ImplicitLocOpBuilder b(call.getLoc(), call);
      func::CallOp::create(b, call.getCallee(), TypeRange(), operands);
      if (call != calls.back())
        LLVM::CallOp::create(b, meeting, ValueRange{barrier, pool});
      call.erase();
    }
  }
};

} // namespace
} // namespace fairy2
