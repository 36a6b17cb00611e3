// SPDX-License-Identifier: Apache-2.0
//
// The identity of kernels, and their calls.
#include "passes/cpu/loops/Kernel.h"

#include "dialect/Fairy2PackedOps.h"
#include "dialect/Fairy2WeightOps.h"
#include "passes/cpu/loops/LoopContext.h"

using namespace mlir;

namespace fairy2 {
namespace {

/// All attributes but names of symbols, which packs stand for, and those in
/// `passed`.
void printAttributes(raw_ostream &out, Operation *op,
                     ArrayRef<StringAttr> passed) {
  out << op->getName();
  for (NamedAttribute attribute : op->getAttrs())
    if (!isa<SymbolRefAttr>(attribute.getValue()) &&
        attribute.getName() != SymbolTable::getSymbolAttrName() &&
        !llvm::is_contained(passed, attribute.getName()))
      out << " " << attribute.getName() << "=" << attribute.getValue();
}

/// All that decides how a pack's bytes are laid out.
void printLayout(raw_ostream &out, PackOp pack) {
  out << stringifyPackingKind(pack.getKind())
      << (pack.getBiases() ? " with biases" : "");
  for (auto symbol : pack.getSources().getAsRange<FlatSymbolRefAttr>()) {
    Operation *source = SymbolTable::lookupNearestSymbolFrom(pack, symbol);
    WeightOp weight = weightBehind(source);
    out << " " << weight.getTensorType() << " ";
    // A weight's file and place in it are no layout.
    if (source != weight)
      printAttributes(out, source, {});
  }
}

} // namespace

const CpuTarget &targetOf(const LoopContext &context) { return context.target; }

RankedTensorType weightType(PackOp pack) {
  return weightBehind(SymbolTable::lookupNearestSymbolFrom(
                          pack, cast<FlatSymbolRefAttr>(pack.getSources()[0])))
      .getTensorType();
}

Kernel::Kernel(LoopContext &context, Location loc, const Twine &name)
    : loops(context), loc(loc), name(name.str()) {}

Kernel::Kernel(LoopContext &context, Operation *op, const Twine &name)
    : Kernel(context, op->getLoc(), name) {
  this->op = op;
}

template <typename... Parts>
Argument Kernel::add(Value value, const Parts &...dependsOn) {
  llvm::raw_string_ostream out(argumentsText);
  out << "\n" << value.getType();
  ((out << " " << dependsOn), ...);
  operands.push_back(value);
  return Argument(this, operands.size() - 1);
}

Rows Kernel::rows(Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  const int64_t stride = loops.strideOf(tensor);
  return {add(loops.view(tensor), type, stride),
          type.getRank() == 2 ? type.getDimSize(1) : 1, stride};
}

Rows Kernel::rows(const Buffer &buffer) {
  return {add(loops.view(buffer), buffer.stride), buffer.stride, buffer.stride};
}

Rows Kernel::words(Value tensor) {
  Buffer words = loops.buffer(tensor);
  words.element = IntegerType::get(tensor.getContext(), 32);
  words.stride /= 4;
  return rows(words);
}

Rows Kernel::scratch(Operation *owner, unsigned i) {
  return rows(loops.scratch(owner, i));
}

Argument Kernel::weights(PackOp pack, int64_t offset, Type element,
                         int64_t elements) {
  std::string layout;
  llvm::raw_string_ostream out(layout);
  printLayout(out, pack);
  return add(loops.weights(pack, offset, element, elements), layout);
}

Argument Kernel::cache(TypedValue<KVCacheType> cache) {
  return add(loops.arguments.cache, cache.getType());
}

Argument Kernel::context() { return add(loops.arguments.context); }

Argument Kernel::prefetchL1() { return add(loops.arguments.prefetchL1); }

Argument Kernel::prefetchL2() { return add(loops.arguments.prefetchL2); }

Argument Kernel::productsFrom() { return add(loops.arguments.productsFrom); }

Argument Kernel::tokens(Value tensor) { return add(loops.tokenCount(tensor)); }

Argument Kernel::constant(int64_t value) { return add(loops.index(value)); }

Argument Kernel::passed(StringAttr attribute) {
  passedAttributes.push_back(attribute);
  return constant(op->getAttrOfType<IntegerAttr>(attribute).getInt());
}

PackOp Kernel::pack(FlatSymbolRefAttr symbol) const {
  return loops.pack(symbol);
}

void Kernel::emit(llvm::function_ref<void(Emitter &)> body) {
  std::string identity;
  llvm::raw_string_ostream out(identity);
  out << name << "\n";
  if (op)
    printAttributes(out, op, passedAttributes);
  out << argumentsText;
  loops.call(loc, name, identity, operands, [&](Emitter &e, ValueRange values) {
    inside = values;
    body(e);
  });
}

} // namespace fairy2
