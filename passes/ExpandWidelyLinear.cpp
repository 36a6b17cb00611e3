// SPDX-License-Identifier: Apache-2.0
//
// Linear layers of even extents become widely-linear ones.
#include "passes/LayerPatterns.h"
#include "passes/Passes.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2EXPANDWIDELYLINEARPASS
#include "passes/Passes.h.inc"

namespace {

struct ExpandWidelyLinear
    : impl::Fairy2ExpandWidelyLinearPassBase<ExpandWidelyLinear> {
  using Base::Base;

  void runOnOperation() override {
    LayerPatterns kept("--keep");
    for (const std::string &text : keep)
      if (failed(kept.add(text, getOperation())))
        return signalPassFailure();
    getOperation().walk([&](LinearOp linear) {
      if (linear.getHead() && !head)
        return;
      if (kept.find(layerName(linear.getWeight())))
        return;
      const int64_t in = featuresOf(linear.getInput());
      const int64_t out = featuresOf(linear.getResult());
      if (in % 2 || out % 2) {
        remark::missed(linear.getLoc(),
                       remark::RemarkOpts::name("OddExtent")
                           .category("fairy2-expand-widely-linear"))
            << remark::reason(
                   "{0} of {1} x {2} stays in higher precision: rows "
                   "and columns cannot be paired",
                   linear.getWeight(), out, in);
        return;
      }
      OpBuilder builder(linear);
      auto expanded = WidelyLinearOp::create(
          builder, linear.getLoc(), linear.getResult().getType(),
          linear.getInput(), linear.getWeightAttr(), linear.getBiasAttr());
      linear.replaceAllUsesWith(expanded.getResult());
      linear.erase();
    });
    if (failed(kept.verifyUsed(getOperation())))
      signalPassFailure();
  }
};

} // namespace
} // namespace fairy2
