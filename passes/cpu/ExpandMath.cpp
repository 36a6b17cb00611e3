// SPDX-License-Identifier: Apache-2.0
//
// Exponentials and hyperbolic tangents become polynomials of products and sums
// (and one division). No library call is left and no product is fused with a
// sum, so all CPUs compute the same bits.
#include "passes/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2EXPANDMATHPASS
#include "passes/Passes.h.inc"

namespace {

struct ExpandMath : impl::Fairy2ExpandMathPassBase<ExpandMath> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateMathPolynomialApproximationPatterns(patterns, [](StringRef name) {
      return name == "math.exp" || name == "math.tanh";
    });
    math::populateExpansionPatterns(patterns, {"fma"});
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace fairy2
