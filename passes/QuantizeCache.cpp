// SPDX-License-Identifier: Apache-2.0
//
// The KV cache stores its numbers as another type.
#include "dialect/Fairy2Dialect.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2QUANTIZECACHEPASS
#include "passes/Passes.h.inc"

const char *nameOf(CacheKind cache) {
  switch (cache) {
  case CacheKind::F32:
    return "f32";
  case CacheKind::F16:
    return "f16";
  case CacheKind::Int8:
    return "int8";
  }
  llvm_unreachable("all kinds are handled");
}

namespace {

Type typeOf(CacheKind cache, Builder &builder) {
  switch (cache) {
  case CacheKind::F32:
    return builder.getF32Type();
  case CacheKind::F16:
    return builder.getF16Type();
  case CacheKind::Int8:
    return builder.getI8Type();
  }
  llvm_unreachable("all kinds are handled");
}

struct QuantizeCache : impl::Fairy2QuantizeCachePassBase<QuantizeCache> {
  using Base::Base;

  void runOnOperation() override {
    Builder builder(&getContext());
    const Type stored = typeOf(element, builder);
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
