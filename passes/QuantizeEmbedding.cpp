// SPDX-License-Identifier: Apache-2.0
//
// The embedding gets integers with a scale per row, where that saves bytes.
#include "dialect/Fairy2QuantizedOps.h"
#include "passes/Passes.h"
#include "passes/StaysDense.h"

#include "llvm/ADT/DenseMap.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2QUANTIZEEMBEDDINGPASS
#include "passes/Passes.h.inc"

const char *nameOf(EmbeddingKind embedding) {
  switch (embedding) {
  case EmbeddingKind::Keep:
    return "keep";
  case EmbeddingKind::Int8:
    return "int8";
  case EmbeddingKind::Int4:
    return "int4";
  }
  llvm_unreachable("all kinds are handled");
}

namespace {

struct QuantizeEmbedding
    : impl::Fairy2QuantizeEmbeddingPassBase<QuantizeEmbedding> {
  using Base::Base;

  void runOnOperation() override {
    const Type stored =
        IntegerType::get(&getContext(), element == EmbeddingKind::Int4 ? 4 : 8);
    llvm::DenseMap<Attribute, LinearOp> readers;
    getOperation().walk(
        [&](LinearOp linear) { readers[linear.getWeightAttr()] = linear; });
    getOperation().walk([&](EmbeddingOp embedding) {
      if (LinearOp head = readers.lookup(embedding.getWeightAttr()))
        return remarkStaysDense(head, "TiedHead", "fairy2-quantize-embedding",
                                "embedding and head in one, and the head "
                                "keeps its precision");
      OpBuilder builder(embedding);
      auto quantized = QuantizedEmbeddingOp::create(
          builder, embedding.getLoc(), embedding.getResult().getType(),
          embedding.getTokens(), embedding.getWeightAttr(),
          TypeAttr::get(stored));
      embedding.replaceAllUsesWith(quantized.getResult());
      embedding.erase();
    });
  }
};

} // namespace
} // namespace fairy2
