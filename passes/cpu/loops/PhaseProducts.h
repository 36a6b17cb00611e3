// SPDX-License-Identifier: Apache-2.0
//
// Layers on the int8 grid for many tokens: codes are decoded into the bytes of
// the real matrix, once for all tokens, and these are multiplied with x.
//
// On the grid the layer is y = A' x times one factor, and A' fits a signed
// byte. With U and W by their integers c and codes a + i b, over all stages,
//   UA = sum c_re a, UB = sum c_im b of U, and WA, WB of W:
//   A' = | UA + WA   WB - UB |  on (x_re, x_im),
//        | UB + WB   UA - WA |
// so the products' sums are those that the look-ups add up, bit by bit.
// Products take unsigned bytes on one side: A' + 128, and the sums begin at
// -128 times the token's sum of x.
#pragma once

#include "passes/cpu/loops/Buffer.h"
#include "passes/cpu/loops/Kernel.h"
#include "passes/cpu/loops/PhaseLookup.h"

namespace fairy2 {

class PackedLinearOp;

/// Whether the layer's kernel holds this form beside the look-ups.
bool hasProducts(PackedLinearOp op, const SignPlanePack &pack,
                 const CpuTarget &target, int64_t batch);

/// Scratch for `batch` tokens, in the order in which ProductArguments finds it.
llvm::SmallVector<Buffer> productScratch(mlir::MLIRContext *context,
                                         const SignPlanePack &pack,
                                         int64_t batch);

/// What both steps of this form read, as arguments of a kernel: the scratch of
/// `op` from number `first` on, and the decision.
struct ProductArguments {
  ProductArguments(Kernel &kernel, PackedLinearOp op, unsigned first);

  /// int32 [group of 4 tokens][word][token]: four values of x, in the order of
  /// ByteOrder in PhaseProducts.cpp.
  Rows words;
  Rows sums;     ///< int32 [token]: the sum of x
  Argument from; ///< tokens of a call from which on this form runs
};

/// Whether so many tokens are multiplied.
mlir::Value multiplies(Emitter &e, const ProductArguments &products,
                       mlir::Value count);

/// Writes the words and the sum of a token, whose int8 values begin at `row`.
void storeWords(Emitter &e, const ProductArguments &products, int64_t columns,
                mlir::Value x, mlir::Value row, mlir::Value token);

/// Scratch on the stack for the tokens of a batch. To be called at the kernel's
/// start.
struct ProductScratch {
  ProductScratch(Emitter &e, const SignPlanePack &pack, int64_t batch);

  int64_t tokens;     ///< that are worked on together
  mlir::Value bytes;  ///< a panel of A' + 128
  mlir::Value totals; ///< int32 [token][part][16]
};

/// As forEachToken of PhaseLookup.h, for all `count` tokens of a tile.
void forEachTokenByProducts(Emitter &e, const PhaseInput &input,
                            const ProductArguments &products,
                            const ProductScratch &scratch, mlir::Value count,
                            llvm::function_ref<void(mlir::Value, Values)> body);

} // namespace fairy2
