// SPDX-License-Identifier: Apache-2.0
//
// Layers on phases that read one input become one op.
#include "passes/Passes.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2GROUPLINEARSPASS
#include "passes/Passes.h.inc"

namespace {

struct GroupLinears : impl::Fairy2GroupLinearsPassBase<GroupLinears> {
  void runOnOperation() override {
    for (Block &block : getOperation().getBody()) {
      llvm::MapVector<std::tuple<Value, Value, Attribute>,
                      SmallVector<PhaseLinearOp>>
          groups;
      for (auto linear : block.getOps<PhaseLinearOp>())
        groups[{linear.getInput(), linear.getScales(), schemeOf(linear)}]
            .push_back(linear);
      for (auto &[input, members] : groups)
        if (members.size() > 1)
          join(members);
    }
  }

private:
  static Attribute schemeOf(PhaseLinearOp linear) {
    auto first = cast<FlatSymbolRefAttr>(linear.getPhases()[0]);
    return SymbolTable::lookupNearestSymbolFrom<PhaseQuantizeOp>(linear, first)
        .getSchemeAttr();
  }

  static void join(ArrayRef<PhaseLinearOp> members) {
    PhaseLinearOp first = members.front();
    OpBuilder builder(first);
    SmallVector<Type> types;
    SmallVector<Attribute> phases, biases;
    SmallVector<Location> locations;
    bool hasBias = false;
    for (PhaseLinearOp member : members) {
      llvm::append_range(types, member.getResultTypes());
      llvm::append_range(phases, member.getPhases());
      for (unsigned i = 0; i < member.getNumResults(); ++i)
        biases.push_back(member.getBiases() ? (*member.getBiases())[i]
                                            : builder.getUnitAttr());
      hasBias |= bool(member.getBiases());
      locations.push_back(member.getLoc());
    }
    auto joined = PhaseLinearOp::create(
        builder, builder.getFusedLoc(locations), types, first.getInput(),
        first.getScales(), builder.getArrayAttr(phases),
        hasBias ? builder.getArrayAttr(biases) : ArrayAttr());
    unsigned next = 0;
    for (PhaseLinearOp member : members) {
      for (Value result : member.getResults())
        result.replaceAllUsesWith(joined.getResult(next++));
      member.erase();
    }
  }
};

} // namespace
} // namespace fairy2
