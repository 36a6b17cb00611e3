// SPDX-License-Identifier: Apache-2.0
//
// The fairy2 dialect: types, attributes, ops. Textual definitions are in the
// .td files beside this header.
#pragma once

#include "dialect/Phase.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialect/Fairy2Dialect.h.inc"
#include "dialect/Fairy2Enums.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/Fairy2Types.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/Fairy2Attrs.h.inc"

#define GET_OP_CLASSES
#include "dialect/Fairy2Ops.h.inc"

namespace fairy2 {


/// The most elements of one weight: byte counts of any layout fit 64 bits.
constexpr int64_t kMaxWeightElements = int64_t(1) << 40;
/// The largest extent of a KV cache type.
constexpr int64_t kMaxCacheExtent = int64_t(1) << 16;

/// The number of features of a [tokens, features] tensor.
inline int64_t featuresOf(mlir::Value value) {
  return mlir::cast<mlir::RankedTensorType>(value.getType()).getDimSize(1);
}

} // namespace fairy2
