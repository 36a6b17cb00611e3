// SPDX-License-Identifier: Apache-2.0
//
// Every weight gets a layout and a place in the weight section.
#include "dialect/Fairy2ModelOps.h"
#include "dialect/Fairy2PackedOps.h"
#include "dialect/Fairy2QuantizedOps.h"
#include "dialect/Fairy2WeightOps.h"
#include "dialect/phase/Packing.h"
#include "passes/Passes.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2PACKWEIGHTSPASS
#include "passes/Passes.h.inc"

namespace {

struct PackWeights : impl::Fairy2PackWeightsPassBase<PackWeights> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SymbolTable symbolTable(module);
    symbols = &symbolTable;
    nextOffset = 0;
    lastPack = nullptr;
    // The functions of inner modules have symbols of their own.
    for (auto function : module.getOps<func::FuncOp>())
      function.walk([&](Operation *op) { pack(op); });
  }

private:
  void pack(Operation *op) {
    llvm::TypeSwitch<Operation *>(op)
        .Case<EmbeddingOp, RmsNormOp>([&](auto op) {
          op.setWeightAttr(dense(op.getWeightAttr(), nullptr));
        })
        .Case<QuantizedEmbeddingOp>([&](auto op) {
          OpBuilder builder(op);
          auto packed = EmbeddingOp::create(
              builder, op.getLoc(), op.getResult().getType(), op.getTokens(),
              integers(op.getWeightAttr(), op.getElement().isInteger(8)
                                               ? PackingKind::Int8
                                               : PackingKind::Int4));
          op.replaceAllUsesWith(packed.getResult());
          op.erase();
        })
        .Case<LinearOp>([&](auto op) {
          replace(op, op.getInput(), Value(),
                  dense(op.getWeightAttr(), op.getBiasAttr()));
        })
        .Case<Int8LinearOp>([&](auto op) {
          replace(op, op.getInput(), op.getScales(),
                  integers(op.getWeightAttr(), PackingKind::Int8));
        })
        .Case<PhaseLinearOp>([&](auto op) {
          replace(op, op.getInput(), op.getScales(),
                  signPlanes(op, PackingKind::SignPlanes));
        })
        .Case<SignLinearOp>([&](auto op) {
          replace(op, op.getInput(), op.getScales(),
                  signPlanes(op, PackingKind::RealSignPlanes));
        });
  }

  void replace(Operation *op, Value input, Value scales,
               FlatSymbolRefAttr pack) {
    OpBuilder builder(op);
    auto packed = PackedLinearOp::create(
        builder, op->getLoc(), op->getResultTypes(), input, scales, pack);
    op->replaceAllUsesWith(packed.getResults());
    op->erase();
  }

  /// The pack of this name; made and placed when it does not exist yet.
  FlatSymbolRefAttr place(StringRef name, PackingKind kind,
                          ArrayRef<Attribute> sources, ArrayAttr biases,
                          int64_t bytes, Location loc) {
    if (!symbols->lookup(name)) {
      OpBuilder builder(&getContext());
      if (lastPack)
        builder.setInsertionPointAfter(lastPack);
      else
        builder.setInsertionPoint(firstFunction());
      auto pack = PackOp::create(builder, loc, name, kind,
                                 builder.getArrayAttr(sources), biases,
                                 nextOffset, bytes);
      symbols->insert(pack);
      lastPack = pack;
      nextOffset = roundUp(nextOffset + bytes, kPackAlignment);
    }
    return FlatSymbolRefAttr::get(&getContext(), name);
  }

  Operation *firstFunction() {
    return *getOperation().getOps<func::FuncOp>().begin();
  }

  RankedTensorType typeOf(FlatSymbolRefAttr weight) {
    return symbols->lookup<WeightOp>(weight.getValue()).getTensorType();
  }

  FlatSymbolRefAttr dense(FlatSymbolRefAttr weight, FlatSymbolRefAttr bias) {
    if (symbols->lookup<PackOp>(weight.getValue()))
      return weight; // A pack already: the pass ran before.
    RankedTensorType type = typeOf(weight);
    const int64_t columns = type.getShape().back();
    const DensePack pack{type.getNumElements() / columns, columns,
                         type.getElementTypeBitWidth() / 8, bool(bias)};
    ArrayAttr biases =
        bias ? ArrayAttr::get(&getContext(), {bias}) : ArrayAttr();
    return place((weight.getValue() + ".pack").str(), PackingKind::Dense,
                 {weight}, biases, pack.bytes(),
                 symbols->lookup(weight.getValue())->getLoc());
  }

  FlatSymbolRefAttr integers(FlatSymbolRefAttr weight, PackingKind kind) {
    RankedTensorType type = typeOf(weight);
    const int64_t rows = type.getDimSize(0), columns = type.getDimSize(1);
    return place((weight.getValue() + "." + stringifyPackingKind(kind)).str(),
                 kind, {weight}, ArrayAttr(),
                 kind == PackingKind::Int8 ? Int8Pack{rows, columns}.bytes()
                                           : Int4Pack{rows, columns}.bytes(),
                 symbols->lookup(weight.getValue())->getLoc());
  }

  template <typename LinearOpTy>
  FlatSymbolRefAttr signPlanes(LinearOpTy op, PackingKind kind) {
    SmallVector<Operation *> recipes;
    for (auto recipe : op.getRecipes().template getAsRange<FlatSymbolRefAttr>())
      recipes.push_back(symbols->lookup(recipe.getValue()));
    const StringRef first =
        cast<FlatSymbolRefAttr>(op.getRecipes()[0]).getValue();
    return place((first + ".pack").str(), kind, op.getRecipes().getValue(),
                 op.getBiasesAttr(),
                 signPlanePackOf(recipes, bool(op.getBiases())).bytes(),
                 op.getLoc());
  }

  SymbolTable *symbols = nullptr;
  PackOp lastPack;
  int64_t nextOffset = 0;
};

} // namespace
} // namespace fairy2
