// SPDX-License-Identifier: Apache-2.0
//
// The remark that a linear layer keeps its weights as they are stored.
#pragma once

#include "dialect/Fairy2ModelOps.h"
#include "passes/LayerPatterns.h"

#include "mlir/IR/Remarks.h"

namespace fairy2 {

/// What Compile looks for among the arguments of remarks: the layer's name and
/// the reason by itself.
constexpr llvm::StringLiteral kDenseLayer = "Layer", kDenseReason = "Why";

/// Says why `pass` leaves the layer alone. fairy2-opt prints it, fairy2-compile
/// repeats it in its summary.
inline void remarkStaysDense(LinearOp linear, llvm::StringRef name,
                             llvm::StringRef pass, llvm::StringRef why) {
  namespace remark = mlir::remark;
  remark::missed(linear.getLoc(), remark::RemarkOpts::name(name).category(pass))
      << remark::reason("{0} of {1} x {2} stays in higher precision: {3}",
                        linear.getWeight(), featuresOf(linear.getResult()),
                        featuresOf(linear.getInput()), why)
      << remark::metric(kDenseLayer, layerName(linear.getWeight()))
      << remark::metric(kDenseReason, why);
}

/// Whether an option of the user leaves the layer alone; says so.
inline bool isLeftAlone(LinearOp linear, bool takesHead, LayerPatterns &kept,
                        llvm::StringRef pass) {
  if (linear.getHead() && !takesHead) {
    remarkStaysDense(linear, "Head", pass, "--lm-head=keep");
    return true;
  }
  if (!kept.find(layerName(linear.getWeight())))
    return false;
  remarkStaysDense(linear, "Kept", pass, "--keep");
  return true;
}

} // namespace fairy2
