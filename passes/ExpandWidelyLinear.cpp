// SPDX-License-Identifier: Apache-2.0
//
// Linear layers of even extents become widely-linear ones.
#include "passes/StaysDense.h"

#include "dialect/Fairy2QuantizedOps.h"
#include "passes/Passes.h"

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
      if (isLeftAlone(linear, head, kept, getArgument()))
        return;
      if (featuresOf(linear.getInput()) % 2 ||
          featuresOf(linear.getResult()) % 2)
        return remarkStaysDense(linear, "OddExtent", getArgument(),
                                "rows and columns cannot be paired, their "
                                "numbers are not both even");
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
