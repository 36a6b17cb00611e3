// SPDX-License-Identifier: Apache-2.0
//
// What the lowering of every op needs to know: where each tensor lies in the
// workspace, where each pack lies in the weight section, and how to make and
// call kernels.
#pragma once

#include "dialect/phase/Packing.h"
#include "passes/cpu/CpuTarget.h"
#include "passes/cpu/loops/Emitter.h"

#include "llvm/ADT/DenseMap.h"

namespace fairy2 {

/// A tensor of activations in the workspace, one row per token. `stride` counts
/// elements from row to row; `shift` elements from the buffer's start to the
/// first row (results of a grouped layer are columns of one buffer).
struct Buffer {
  int64_t offset = 0; ///< bytes from the start of the workspace
  int64_t rows = 1;
  int64_t stride = 1;
  int64_t shift = 0;
  mlir::Type element;

  int64_t elements() const { return rows * stride; }
  int64_t bytes() const {
    return elements() * ((element.getIntOrFloatBitWidth() + 7) / 8);
  }
};

/// Arguments of the lowered entry function, in the order of the ABI
/// (runtime/include/fairy2/abi.h); threads and barrier follow later.
struct EntryArguments {
  mlir::Value weights, cache, workspace, tokens, slots, positions, count, rows,
      rowCount, logits, context;
};

class LoopContext {
public:
  LoopContext(mlir::ModuleOp module, mlir::func::FuncOp oldEntry,
              const CpuTarget &target, int64_t batch);

  /// Places every tensor of the old entry function; fails with a diagnostic
  /// on an op that has no kernels.
  mlir::LogicalResult planBuffers();
  /// Creates the new entry function; calls are then emitted at its end.
  void beginEntry(mlir::StringRef name);
  void endEntry();

  const CpuTarget &target;
  const int64_t batch;
  EntryArguments arguments;

  /// Kernel arguments for a tensor or scratch buffer, a part of a pack, the
  /// number of tokens of a tensor.
  mlir::Value view(mlir::Value tensor);
  mlir::Value view(const Buffer &buffer);
  mlir::Value weights(PackOp pack, int64_t offset, mlir::Type element,
                      int64_t elements);
  mlir::Value tokenCount(mlir::Value tensor);
  mlir::Value index(int64_t value);

  const Buffer &buffer(mlir::Value tensor) const;
  /// Scratch of an op, as planned by planBuffers.
  const Buffer &scratch(mlir::Operation *op, unsigned i) const;
  PackOp pack(mlir::FlatSymbolRefAttr symbol);
  mlir::RankedTensorType weightType(PackOp pack, unsigned source = 0);

  /// Calls the kernel `name`, making it first if the module has none. Names
  /// carry every number that the body depends on. `attributes` mark the kernel
  /// for later passes and for the reader.
  using KernelBody = llvm::function_ref<void(Emitter &, mlir::ValueRange)>;
  void call(mlir::Location loc, const std::string &name,
            mlir::ValueRange kernelArguments, KernelBody body);

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

// One function per op or family; each emits kernel calls.
void lowerEmbedding(EmbeddingOp op, LoopContext &context);
void lowerGatherRows(GatherRowsOp op, LoopContext &context);
void lowerRmsNorm(RmsNormOp op, LoopContext &context);
void lowerAdd(mlir::arith::AddFOp op, LoopContext &context);
void lowerScale(ScaleOp op, LoopContext &context);
void lowerSoftCap(SoftCapOp op, LoopContext &context);
void lowerGatedActivation(GatedActivationOp op, LoopContext &context);
void lowerQuantizeActivations(QuantizeActivationsOp op, LoopContext &context);
void lowerRopeTable(RopeTableOp op, LoopContext &context);
void lowerRope(RopeOp op, LoopContext &context);
void lowerAttention(AttentionOp op, LoopContext &context);
void lowerPhaseLinear(PackedLinearOp op, PackOp pack, LoopContext &context);
void lowerDenseLinear(PackedLinearOp op, PackOp pack, LoopContext &context);
void lowerInt8Linear(PackedLinearOp op, PackOp pack, LoopContext &context);

/// Scratch of lowerPhaseLinear: tables low and high, sums of magnitudes, number
/// and list of wide blocks.
llvm::SmallVector<Buffer> phaseLinearScratch(PackedLinearOp op, PackOp pack,
                                             LoopContext &context);
/// A constant's bits, for the name of the kernel that holds it.
inline uint64_t bitsOf(const llvm::APFloat &value) {
  return value.bitcastToAPInt().getZExtValue();
}

/// More elements than any KV cache has: its size is the runtime's choice.
constexpr int64_t kUnboundedCache = int64_t(1) << 40;

} // namespace fairy2
