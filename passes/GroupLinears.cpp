// SPDX-License-Identifier: Apache-2.0
//
// Layers on phases, or signs, that read one input become one op.
#include "dialect/Fairy2QuantizedOps.h"
#include "passes/Passes.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2GROUPLINEARSPASS
#include "passes/Passes.h.inc"

namespace {

Attribute schemeOf(Operation *recipe) {
  if (auto signs = dyn_cast<SignQuantizeOp>(recipe))
    return signs.getSchemeAttr();
  return cast<PhaseQuantizeOp>(recipe).getSchemeAttr();
}

template <typename LinearOpTy> void join(ArrayRef<LinearOpTy> members) {
  LinearOpTy first = members.front();
  OpBuilder builder(first);
  SmallVector<Type> types;
  SmallVector<Attribute> recipes, biases;
  SmallVector<Location> locations;
  bool hasBias = false;
  for (LinearOpTy member : members) {
    llvm::append_range(types, member.getResultTypes());
    llvm::append_range(recipes, member.getRecipes());
    for (unsigned i = 0; i < member.getNumResults(); ++i)
      biases.push_back(member.getBiases() ? (*member.getBiases())[i]
                                          : builder.getUnitAttr());
    hasBias |= bool(member.getBiases());
    locations.push_back(member.getLoc());
  }
  auto joined = LinearOpTy::create(
      builder, builder.getFusedLoc(locations), types, first.getInput(),
      first.getScales(), builder.getArrayAttr(recipes),
      hasBias ? builder.getArrayAttr(biases) : ArrayAttr());
  unsigned next = 0;
  for (LinearOpTy member : members) {
    for (Value result : member.getResults())
      result.replaceAllUsesWith(joined.getResult(next++));
    member.erase();
  }
}

template <typename LinearOpTy> void joinAll(Block &block) {
  llvm::MapVector<std::tuple<Value, Value, Attribute>, SmallVector<LinearOpTy>>
      groups;
  for (auto linear : block.getOps<LinearOpTy>()) {
    auto first = cast<FlatSymbolRefAttr>(linear.getRecipes()[0]);
    Attribute scheme =
        schemeOf(SymbolTable::lookupNearestSymbolFrom(linear, first));
    groups[{linear.getInput(), linear.getScales(), scheme}].push_back(linear);
  }
  for (auto &[input, members] : groups)
    if (members.size() > 1)
      join<LinearOpTy>(members);
}

struct GroupLinears : impl::Fairy2GroupLinearsPassBase<GroupLinears> {
  void runOnOperation() override {
    for (Block &block : getOperation().getBody()) {
      joinAll<PhaseLinearOp>(block);
      joinAll<SignLinearOp>(block);
    }
  }
};

} // namespace
} // namespace fairy2
