// SPDX-License-Identifier: Apache-2.0
//
// The function on tensors becomes a function on buffers: where each tensor lies
// in the workspace and each pack in the weight section, and the new entry
// function, which calls kernels. Generators see it through Kernel.h.
#pragma once

#include "dialect/phase/Packing.h"
#include "passes/cpu/CpuTarget.h"
#include "passes/cpu/loops/Buffer.h"
#include "passes/cpu/loops/Emitter.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

namespace fairy2 {

class PackOp;

/// The kernels of a module by their identity (Kernel.h): their names.
using KernelTable = llvm::StringMap<std::string>;

/// Arguments of the lowered entry function, in the order of the ABI
/// (runtime/include/fairy2/abi.h); threads and barrier follow later.
struct EntryArguments {
  mlir::Value weights, cache, workspace, tokens, slots, positions, count, rows,
      rowCount, logits, context, prefetchL1, prefetchL2, productsFrom;
};

class LoopContext {
public:
  LoopContext(mlir::ModuleOp module, mlir::func::FuncOp oldEntry,
              const CpuTarget &target, int64_t batch, KernelTable &kernels);

  /// Places every tensor of the old entry function; fails with a diagnostic
  /// on an op that has no kernels.
  mlir::LogicalResult planBuffers();
  /// Creates the new entry function; calls are then emitted at its end.
  void beginEntry(mlir::StringRef name);
  void endEntry();
  /// Says that the entry holds layers with both forms of their sums.
  void declareProducts();

  const CpuTarget &target;
  const int64_t batch;
  EntryArguments arguments;

  /// What kernels are passed: a tensor or scratch buffer, a part of a pack, the
  /// number of tokens of a tensor, a constant.
  mlir::Value view(mlir::Value tensor);
  mlir::Value view(const Buffer &buffer);
  mlir::Value weights(PackOp pack, int64_t offset, mlir::Type element,
                      int64_t elements);
  mlir::Value tokenCount(mlir::Value tensor);
  mlir::Value index(int64_t value);

  const Buffer &buffer(mlir::Value tensor) const;
  /// Elements from row to row of a tensor or an argument of the entry.
  int64_t strideOf(mlir::Value tensor) const;
  /// Scratch of an op, as planned by planBuffers.
  const Buffer &scratch(mlir::Operation *op, unsigned i) const;
  PackOp pack(mlir::FlatSymbolRefAttr symbol) const;

  /// Calls the kernel of this identity. If the module has none, `body` makes
  /// it, and it is named after `stem`.
  using KernelBody = llvm::function_ref<void(Emitter &, mlir::ValueRange)>;
  void call(mlir::Location loc, llvm::StringRef stem, llvm::StringRef identity,
            mlir::ValueRange operands, KernelBody body);

private:
  /// Bytes that live from op number `first` to `last`.
  struct Placement {
    Buffer *buffer;
    int64_t first, last;
  };
  void place(llvm::MutableArrayRef<Placement> placements);

  mlir::ModuleOp module;
  mlir::func::FuncOp oldEntry, entry;
  mlir::OpBuilder builder;
  mlir::SymbolTable symbols;
  KernelTable &kernels;
  llvm::DenseMap<mlir::Value, Buffer> buffers;
  llvm::DenseMap<mlir::Operation *, llvm::SmallVector<Buffer>> scratches;
  llvm::DenseMap<mlir::Value, mlir::Value> argumentOf;
  int64_t workspaceBytes = 0;
};

/// The head's result behind the logits, which a soft cap may follow; both lie
/// in the caller's memory.
mlir::Value beforeSoftCap(mlir::Value logits);

/// Scratch buffers that lowering `op` needs beside its operands and results.
llvm::SmallVector<Buffer> scratchOf(mlir::Operation *op, LoopContext &context);

/// More elements than any KV cache has: its size is the runtime's choice.
constexpr int64_t kUnboundedCache = int64_t(1) << 40;

} // namespace fairy2
