// SPDX-License-Identifier: Apache-2.0
//
// The head of the language model gets int8 weights.
#include "passes/QuantizeActivations.h"

#include "dialect/Fairy2ModelOps.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2QUANTIZEHEADPASS
#include "passes/Passes.h.inc"

namespace {

struct QuantizeHead : impl::Fairy2QuantizeHeadPassBase<QuantizeHead> {
  void runOnOperation() override {
    auto result = getOperation().walk([](LinearOp linear) {
      if (!linear.getHead())
        return WalkResult::advance();
      if (linear.getBiasAttr()) {
        linear.emitOpError("expected a head without bias for int8 weights");
        return WalkResult::interrupt();
      }
      const QuantizedInput input =
          quantizeInput(linear, linear.getInput(), ActivationKind::Int8);
      OpBuilder builder(linear);
      auto head = Int8LinearOp::create(
          builder, linear.getLoc(), linear.getResult().getType(), input.values,
          input.scales, linear.getWeightAttr());
      linear.replaceAllUsesWith(head.getResult());
      linear.erase();
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }
};

} // namespace
} // namespace fairy2
