// SPDX-License-Identifier: Apache-2.0
//
// How a generator makes and calls a kernel: it declares each argument once and
// then emits the body, in which the argument is the value that arrives.
//
// Two calls share a kernel when everything that its body can depend on is
// equal. That is derived here, from what the generator declares, so that no
// number can be left out: the attributes of the op, and of every argument its
// types, its stride and the layout of its pack. The target and the batch are
// those of the pass.
#pragma once

#include "passes/cpu/CpuTarget.h"
#include "passes/cpu/loops/Emitter.h"

#include "llvm/ADT/Twine.h"

namespace fairy2 {

class PackOp;
class Kernel;
class LoopContext;
struct Buffer;

/// What the pass makes kernels for.
const CpuTarget &targetOf(const LoopContext &context);

/// An argument of a kernel; within the body a value. False if the kernel has
/// none of this kind.
class Argument {
public:
  Argument() = default;
  operator mlir::Value() const;
  explicit operator bool() const { return kernel; }

private:
  friend class Kernel;
  Argument(const Kernel *kernel, size_t number)
      : kernel(kernel), number(number) {}

  const Kernel *kernel = nullptr;
  size_t number = 0;
};

/// One row of `features` elements per token, `stride` elements apart.
struct Rows : Argument {
  int64_t features = 1, stride = 1;

  /// Index of the first element of a token's row.
  mlir::Value row(Emitter &e, mlir::Value token) const {
    return e.mul(token, stride);
  }
};

class Kernel {
public:
  /// `name` tells readers of a kernel what it does; it need not tell kernels
  /// apart. The body may depend on all attributes of `op`.
  Kernel(LoopContext &context, mlir::Operation *op, const llvm::Twine &name);
  /// The body reads no attributes: its arguments say all.
  Kernel(LoopContext &context, mlir::Location loc, const llvm::Twine &name);
  Kernel(const Kernel &) = delete;
  Kernel &operator=(const Kernel &) = delete;

  /// A tensor of activations, or of one value per token.
  Rows rows(mlir::Value tensor);
  /// A tensor of int8 values, read as int32 words of four.
  Rows words(mlir::Value tensor);
  /// Number `i` of the scratch buffers of `owner`.
  Rows scratch(mlir::Operation *owner, unsigned i);
  /// `elements` elements of a pack, `offset` bytes after its start.
  Argument weights(PackOp pack, int64_t offset, mlir::Type element,
                   int64_t elements);
  Argument cache(mlir::TypedValue<KVCacheType> cache);
  /// Positions of a slot of the cache.
  Argument context();
  /// Bytes between a read of weights and what is fetched meanwhile.
  Argument prefetchL1();
  Argument prefetchL2();
  /// Tokens of a call from which layers with both forms multiply.
  Argument productsFrom();
  /// The number of tokens that a tensor has rows of.
  Argument tokens(mlir::Value tensor);
  /// A number that differs from call to call.
  Argument constant(int64_t value);
  /// An integer attribute of the op as such a number: the body must not read
  /// the attribute itself.
  Argument passed(mlir::StringAttr name);

  PackOp pack(mlir::FlatSymbolRefAttr symbol) const;
  const CpuTarget &target() const { return targetOf(loops); }
  /// Calls the kernel, making it first if there is none like it.
  void emit(llvm::function_ref<void(Emitter &)> body);

private:
  friend class Argument;
  Rows rows(const Buffer &buffer);
  template <typename... Parts>
  Argument add(mlir::Value value, const Parts &...dependsOn);

  LoopContext &loops;
  mlir::Location loc;
  mlir::Operation *op = nullptr; ///< whose attributes the body may read
  std::string name, argumentsText;
  llvm::SmallVector<mlir::StringAttr> passedAttributes;
  llvm::SmallVector<mlir::Value> operands; ///< of the call
  mlir::ValueRange inside;                 ///< the same in the body
};

/// The type of the weight behind the first source of a pack.
mlir::RankedTensorType weightType(PackOp pack);

inline Argument::operator mlir::Value() const {
  return kernel ? kernel->inside[number] : mlir::Value();
}

} // namespace fairy2
