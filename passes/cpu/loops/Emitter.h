// SPDX-License-Identifier: Apache-2.0
//
// The vocabulary in which kernels are written: loops, vectors of 16 lanes and
// flat memrefs. All rows of activations are 16 floats apart or a multiple, so
// whole vectors may be read and written past a row's last feature; reductions
// mask those lanes. Sums have one fixed order, whatever the CPU, so the same
// model gives the same bits everywhere.
#pragma once

#include "dialect/Fairy2Dialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace fairy2 {

using Values = llvm::SmallVector<mlir::Value>;

/// Lanes of the vectors that float code works on, on every CPU.
constexpr int64_t kLanes = 16;

/// The widest vector, at most 16 lanes, that divides `count`.
int64_t dividingLanes(int64_t count);

class Emitter : public mlir::ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  // Types.
  mlir::VectorType vector(mlir::Type element, int64_t lanes = kLanes) {
    return mlir::VectorType::get({lanes}, element);
  }
  mlir::VectorType floats(int64_t lanes = kLanes) {
    return vector(getF32Type(), lanes);
  }
  mlir::VectorType ints(int64_t lanes = kLanes) {
    return vector(getI32Type(), lanes);
  }
  mlir::VectorType bytes(int64_t lanes) { return vector(getI8Type(), lanes); }

  // Constants; vectors are splats.
  mlir::Value index(int64_t value);
  mlir::Value constant(mlir::Type type, double value);
  mlir::Value constant(mlir::Type type, int64_t value);
  mlir::Value constant(mlir::Type type, int value) {
    return constant(type, int64_t(value));
  }
  mlir::Value splat(mlir::Value scalar, int64_t lanes = kLanes);

  // Arithmetic on index, integer and float values and vectors.
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, mlir::Value b);
  mlir::Value rem(mlir::Value a, mlir::Value b);
  mlir::Value add(mlir::Value a, int64_t b);
  mlir::Value mul(mlir::Value a, int64_t b);
  mlir::Value div(mlir::Value a, int64_t b);
  mlir::Value rem(mlir::Value a, int64_t b);
  mlir::Value maximum(mlir::Value a, mlir::Value b);
  /// In [-bound, bound].
  mlir::Value clamp(mlir::Value x, double bound);
  /// cap tanh(x / cap).
  mlir::Value softCap(mlir::Value x, double cap);
  mlir::Value toIndex(mlir::Value integer);
  /// The same bits as another vector or scalar type.
  mlir::Value bitcast(mlir::Type type, mlir::Value v);

  // Flat memory.
  mlir::Value load(mlir::Value memref, mlir::Value index);
  void store(mlir::Value value, mlir::Value memref, mlir::Value index);
  mlir::Value loadVector(mlir::Value memref, mlir::Value index, int64_t lanes,
                         int64_t alignment = 1);
  void storeVector(mlir::Value value, mlir::Value memref, mlir::Value index,
                   int64_t alignment = 1);
  /// Stores 16 rows, or only the first `validRows` of a tile that sticks out;
  /// `allWhole` says that no tile does.
  void storeRows(mlir::Value rows, mlir::Value memref, mlir::Value index,
                 mlir::Value validRows, bool allWhole);
  /// Asks for the cache line of an element that will be read, in L1 (3), L2
  /// (2) or L3 (1). The index may lie outside the memref.
  void prefetch(mlir::Value memref, mlir::Value index, int level);

  // Storage. Lanes of F32, F16, BF16 or int8 as float32, exactly; those of
  // int32 are rounded to the nearest.
  mlir::Value toFloats(mlir::Value stored);
  mlir::Value loadFloats(mlir::Value memref, mlir::Value index,
                         int64_t lanes = kLanes) {
    return toFloats(loadVector(memref, index, lanes));
  }
  /// Rounded to the nearest half; saturates.
  mlir::Value toHalf(mlir::Value x);
  /// (largest / 127, 127 / largest or 0): the scale of int8 values whose
  /// largest magnitude is given, and what to multiply them with.
  std::pair<mlir::Value, mlir::Value> int8Scale(mlir::Value largest);
  /// x times the scalar `inverse`, rounded half to even, in -127 to 127.
  mlir::Value toInt8(mlir::Value x, mlir::Value inverse);

  // Control flow.
  using Body = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      mlir::Value, mlir::ValueRange)>;
  llvm::SmallVector<mlir::Value> forLoop(mlir::Value begin, mlir::Value end,
                                         int64_t step, mlir::ValueRange init,
                                         Body body);
  void forLoop(mlir::Value begin, mlir::Value end,
               llvm::function_ref<void(mlir::Value)> body);
  void branch(mlir::Value condition, llvm::function_ref<void()> yes,
              llvm::function_ref<void()> no);
  /// The parallel step: body(i) for i in [0, count), in any order.
  void forall(mlir::Value count, llvm::function_ref<void(mlir::Value)> body);

  /// Walks a row of `features` values in vectors of 16: body(offset, mask,
  /// carried) -> carried. `mask` is null for whole vectors and a constant
  /// vector<16xi1> for the rest of the row.
  using RowBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      mlir::Value, mlir::Value, mlir::ValueRange)>;
  llvm::SmallVector<mlir::Value> forRow(int64_t features, mlir::ValueRange init,
                                        RowBody body);
  /// The mask of the first `count` lanes of 16; null where that is all.
  mlir::Value lanesBelow(int64_t count);
  /// `value` with the lanes outside `mask` (null: none) set to zero.
  mlir::Value keep(mlir::Value value, mlir::Value mask);

  /// The sum of all lanes, as a balanced tree.
  mlir::Value treeSum(mlir::Value vector);
  /// Lanes [begin, begin + count).
  mlir::Value slice(mlir::Value vector, int64_t begin, int64_t count);
};

} // namespace fairy2
