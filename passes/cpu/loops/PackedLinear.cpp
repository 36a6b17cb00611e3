// SPDX-License-Identifier: Apache-2.0
//
// Which generator a linear layer's packing asks for.
#include "passes/cpu/loops/PackedLinear.h"

#include "dialect/Fairy2PackedOps.h"
#include "passes/cpu/loops/LoopContext.h"
#include "passes/cpu/loops/Lowerings.h"

using namespace mlir;

namespace fairy2 {

template <> void lower(PackedLinearOp op, LoopContext &context) {
  PackOp pack = context.pack(op.getPackAttr());
  switch (pack.getKind()) {
  case PackingKind::SignPlanes:
  case PackingKind::RealSignPlanes:
    return lowerPhaseLinear(op, pack, context);
  case PackingKind::Dense:
    return lowerDenseLinear(op, pack, context);
  case PackingKind::Int8:
    return lowerInt8Linear(op, pack, context);
  case PackingKind::Int4:
    llvm_unreachable("the verifier lets no linear layer read int4");
  }
}

SmallVector<Buffer> scratchOf(Operation *op, LoopContext &context) {
  if (auto linear = dyn_cast<PackedLinearOp>(op)) {
    PackOp pack = context.pack(linear.getPackAttr());
    if (pack.holdsPlanes())
      return phaseLinearScratch(linear, pack, context.target, context.batch);
  }
  return {};
}

void nameKernelOf(PackOp pack, const Twine &kernel) {
  pack->setAttr("kernel", StringAttr::get(pack.getContext(), kernel));
}

} // namespace fairy2
