// SPDX-License-Identifier: Apache-2.0
//
// Weight symbols leave the module: code only knows offsets.
#include "dialect/Fairy2PackedOps.h"
#include "dialect/Fairy2QuantizedOps.h"
#include "dialect/Fairy2WeightOps.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2STRIPRECIPESPASS
#include "passes/Passes.h.inc"

namespace {

struct StripRecipes : impl::Fairy2StripRecipesPassBase<StripRecipes> {
  void runOnOperation() override {
    for (Operation &op : llvm::make_early_inc_range(*getOperation().getBody()))
      if (isa<WeightOp, PhaseQuantizeOp, SignQuantizeOp, PackOp>(op))
        op.erase();
  }
};

} // namespace
} // namespace fairy2
