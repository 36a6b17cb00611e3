// SPDX-License-Identifier: Apache-2.0
//
// The KV cache stores its numbers as another type.
#include "passes/Passes.h"

#include "llvm/ADT/StringSwitch.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2QUANTIZECACHEPASS
#include "passes/Passes.h.inc"

namespace {

struct QuantizeCache : impl::Fairy2QuantizeCachePassBase<QuantizeCache> {
  using Base::Base;

  void runOnOperation() override {
    Builder builder(&getContext());
    const Type stored = llvm::StringSwitch<Type>(element)
                            .Case("f32", builder.getF32Type())
                            .Case("f16", builder.getF16Type())
                            .Case("int8", builder.getI8Type())
                            .Default(Type());
    if (!stored) {
      getOperation().emitError("expected an element of f32, f16 or int8, "
                               "found '")
          << element << "'";
      return signalPassFailure();
    }
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      for (BlockArgument argument : function.getArguments())
        if (auto cache = dyn_cast<KVCacheType>(argument.getType()))
          argument.setType(KVCacheType::get(&getContext(), cache.getLayers(),
                                            cache.getHeads(), cache.getDim(),
                                            stored));
      if (!function.isExternal())
        function.setType(builder.getFunctionType(
            function.front().getArgumentTypes(), function.getResultTypes()));
    }
  }
};

} // namespace
} // namespace fairy2
