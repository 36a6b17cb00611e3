// SPDX-License-Identifier: Apache-2.0
//
// Buffer planning and the entry function.
#include "passes/cpu/loops/LoopContext.h"

#include "dialect/Fairy2ModelOps.h"
#include "dialect/Fairy2PackedOps.h"
#include "dialect/phase/Packing.h"
#include "passes/cpu/loops/KVCache.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/xxhash.h"

#include <deque>

using namespace mlir;

namespace fairy2 {

LoopContext::LoopContext(ModuleOp module, func::FuncOp oldEntry,
                         const CpuTarget &target, int64_t batch,
                         KernelTable &kernels)
    : target(target), batch(batch), module(module), oldEntry(oldEntry),
      builder(module.getContext()), symbols(module), kernels(kernels) {}

PackOp LoopContext::pack(FlatSymbolRefAttr symbol) const {
  return symbols.lookup<PackOp>(symbol.getValue());
}

const Buffer &LoopContext::buffer(Value tensor) const {
  return buffers.find(tensor)->second;
}

int64_t LoopContext::strideOf(Value tensor) const {
  const auto found = buffers.find(tensor);
  return found == buffers.end() ? 1 : found->second.stride;
}

const Buffer &LoopContext::scratch(Operation *op, unsigned i) const {
  return scratches.find(op)->second[i];
}

//===----------------------------------------------------------------------===//
// Planning
//===----------------------------------------------------------------------===//

/// First fit by time and size: a buffer may lie where no other lies that lives
/// at the same time. Steps are separated by barriers, so touching life spans
/// are what must not share bytes.
void LoopContext::place(MutableArrayRef<Placement> placements) {
  for (size_t i = 0; i < placements.size(); ++i) {
    Placement &mine = placements[i];
    int64_t offset = 0;
    bool moved = true;
    while (moved) {
      moved = false;
      for (const Placement &other : placements.take_front(i)) {
        const int64_t otherEnd =
            roundUp(other.buffer->offset + other.buffer->bytes(), 64);
        const bool sameTime =
            other.first <= mine.last && mine.first <= other.last;
        if (sameTime && offset < otherEnd &&
            other.buffer->offset < offset + mine.buffer->bytes()) {
          offset = otherEnd;
          moved = true;
        }
      }
    }
    mine.buffer->offset = offset;
    // Views of later columns stick out by less than a row (see view).
    const int64_t row = mine.buffer->bytes() / mine.buffer->rows;
    workspaceBytes = std::max(workspaceBytes,
                              roundUp(offset + mine.buffer->bytes() + row, 64));
  }
}

Value beforeSoftCap(Value logits) {
  auto cap = logits.getDefiningOp<SoftCapOp>();
  return cap ? cap.getInput() : logits;
}

/// The number of the last op that reads `value`, or a slice of it.
static int64_t lastUse(Value value,
                       const DenseMap<Operation *, int64_t> &number) {
  int64_t last = number.lookup(value.getDefiningOp());
  for (Operation *user : value.getUsers()) {
    auto slice = dyn_cast<SliceOp>(user);
    last = std::max(last, slice ? lastUse(slice.getResult(), number)
                                : number.lookup(user));
  }
  return last;
}

LogicalResult LoopContext::planBuffers() {
  Block &block = oldEntry.getBody().front();
  DenseMap<Operation *, int64_t> number;
  for (auto [i, op] : llvm::enumerate(block))
    number[&op] = int64_t(i);
  Value logits = block.getTerminator()->getOperand(0);

  // DenseMap entries move; placements point at buffers kept here meanwhile.
  std::deque<Buffer> storage;
  SmallVector<Placement> placements;
  SmallVector<std::pair<Value, std::pair<Buffer *, int64_t>>> results;
  SmallVector<std::pair<Operation *, Buffer *>> extra;
  for (Operation &op : block.without_terminator()) {
    if (isa<SliceOp>(op))
      continue;
    const int64_t now = number[&op];
    // The results of one op are columns of one buffer when their elements are
    // of one type.
    llvm::MapVector<Type, SmallVector<Value>> byType;
    for (Value result : op.getResults()) {
      if (result == logits || result == beforeSoftCap(logits))
        continue;
      auto type = dyn_cast<RankedTensorType>(result.getType());
      if (!type)
        return op.emitOpError("expected tensors in stage packed");
      byType[type.getElementType()].push_back(result);
    }
    for (auto &[element, values] : byType) {
      Buffer buffer{0, batch, 0, 0, element};
      int64_t last = now;
      for (Value value : values) {
        auto type = cast<RankedTensorType>(value.getType());
        results.push_back({value, {nullptr, buffer.stride}});
        buffer.stride += type.getRank() == 2 ? type.getDimSize(1) : 1;
        last = std::max(last, lastUse(value, number));
      }
      if (cast<RankedTensorType>(values[0].getType()).getRank() == 2)
        buffer.stride = roundUp(buffer.stride, element.isInteger(8) ? 64 : 16);
      storage.push_back(buffer);
      for (size_t i = 0; i < values.size(); ++i)
        results[results.size() - 1 - i].second.first = &storage.back();
      placements.push_back({&storage.back(), now, last});
    }
    for (Buffer scratch : scratchOf(&op, *this)) {
      storage.push_back(scratch);
      extra.push_back({&op, &storage.back()});
      placements.push_back({&storage.back(), now, now});
    }
  }
  place(placements);
  for (auto &[value, where] : results) {
    Buffer buffer = *where.first;
    buffer.shift = where.second;
    buffers[value] = buffer;
  }
  for (auto slice : block.getOps<SliceOp>()) {
    Buffer buffer = buffers[slice.getInput()];
    buffer.shift += int64_t(slice.getBegin());
    buffers[slice.getResult()] = buffer;
  }
  for (auto &[op, buffer] : extra)
    scratches[op].push_back(*buffer);
  return success();
}

//===----------------------------------------------------------------------===//
// The entry function
//===----------------------------------------------------------------------===//

void LoopContext::beginEntry(StringRef name) {
  Type i8 = builder.getI8Type(), i32 = builder.getI32Type(),
       f32 = builder.getF32Type(), index = builder.getIndexType();
  int64_t weightBytes = 0;
  for (auto pack : module.getOps<PackOp>())
    weightBytes = std::max(
        weightBytes,
        roundUp(int64_t(pack.getOffset() + pack.getBytes()), kPackAlignment));
  Value logits = oldEntry.getBody().front().getTerminator()->getOperand(0);
  const int64_t vocabulary = featuresOf(logits);
  auto cache = cast<KVCacheType>(oldEntry.getArgumentTypes().back());
  auto ids = MemRefType::get({batch}, i32);
  SmallVector<Type> types = {
      MemRefType::get({std::max<int64_t>(weightBytes, 1)}, i8),
      MemRefType::get({kUnboundedCache}, cache.getElement()),
      MemRefType::get({std::max<int64_t>(workspaceBytes, 1)}, i8),
      ids,
      ids,
      ids,
      index,
      ids,
      index,
      MemRefType::get({batch * vocabulary}, f32),
      index,
      index,
      index,
      index};
  builder.setInsertionPoint(oldEntry);
  entry = func::FuncOp::create(builder, oldEntry.getLoc(), name,
                               builder.getFunctionType(types, {}));
  Block *body = entry.addEntryBlock();
  builder.setInsertionPointToStart(body);
  Value *fields[] = {
      &arguments.weights,    &arguments.cache,       &arguments.workspace,
      &arguments.tokens,     &arguments.slots,       &arguments.positions,
      &arguments.count,      &arguments.rows,        &arguments.rowCount,
      &arguments.logits,     &arguments.context,     &arguments.prefetchL1,
      &arguments.prefetchL2, &arguments.productsFrom};
  for (auto [field, argument] : llvm::zip(fields, body->getArguments()))
    *field = argument;

  for (Value tensor : {logits, beforeSoftCap(logits)}) {
    buffers[tensor] = Buffer{0, batch, vocabulary, 0, f32};
    argumentOf[tensor] = arguments.logits;
  }
  Value *ofOld[] = {&arguments.tokens, &arguments.slots, &arguments.positions,
                    &arguments.rows};
  for (auto [old, field] : llvm::zip(oldEntry.getArguments(), ofOld))
    argumentOf[old] = *field;

  auto i64 = [&](int64_t value) { return builder.getI64IntegerAttr(value); };
  entry->setAttr("fairy2.batch", i64(batch));
  entry->setAttr("fairy2.weight_bytes", i64(weightBytes));
  entry->setAttr("fairy2.workspace_bytes", i64(workspaceBytes));
  const KVCacheLayout layout(cache);
  entry->setAttr("fairy2.cache_bytes_per_position",
                 i64(layout.bytesPerPosition()));
  entry->setAttr("fairy2.cache_layers", i64(layout.layers()));
  entry->setAttr("fairy2.cache_planes",
                 builder.getDenseI64ArrayAttr(layout.planes()));
}

void LoopContext::declareProducts() {
  entry->setAttr("fairy2.products_from",
                 builder.getI64IntegerAttr(target.productsFrom));
}

void LoopContext::endEntry() {
  func::ReturnOp::create(builder, entry.getLoc());
  oldEntry.erase();
}

Value LoopContext::view(const Buffer &buffer) {
  Value offset = index(buffer.offset + buffer.shift * buffer.elementBytes());
  // All columns of a buffer have one type, so that they can share kernels.
  return memref::ViewOp::create(
      builder, entry.getLoc(),
      MemRefType::get({buffer.elements()}, buffer.element), arguments.workspace,
      offset, ValueRange());
}

Value LoopContext::view(Value tensor) {
  if (Value argument = argumentOf.lookup(tensor))
    return argument;
  return view(buffer(tensor));
}

Value LoopContext::weights(PackOp pack, int64_t offset, Type element,
                           int64_t elements) {
  Value start = arith::ConstantIndexOp::create(
      builder, entry.getLoc(), int64_t(pack.getOffset()) + offset);
  return memref::ViewOp::create(builder, entry.getLoc(),
                                MemRefType::get({elements}, element),
                                arguments.weights, start, ValueRange());
}

Value LoopContext::index(int64_t value) {
  return arith::ConstantIndexOp::create(builder, entry.getLoc(), value);
}

/// Tensors that descend from gathered rows have row_count rows.
Value LoopContext::tokenCount(Value tensor) {
  while (Operation *op = tensor.getDefiningOp()) {
    if (isa<GatherRowsOp>(op))
      return arguments.rowCount;
    if (op->getNumOperands() == 0)
      break;
    tensor = op->getOperand(0);
  }
  return arguments.count;
}

void LoopContext::call(Location loc, StringRef stem, StringRef identity,
                       ValueRange operands, KernelBody body) {
  std::string &name = kernels[identity];
  if (name.empty()) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(entry);
    // A hash keeps a kernel's name when the rest of the model changes; should
    // two agree, the symbol table tells the kernels apart.
    const uint32_t hash = uint32_t(llvm::xxh3_64bits(identity));
    auto kernel = func::FuncOp::create(
        builder, loc, llvm::formatv("{0}_{1:x-8}", stem, hash).str(),
        builder.getFunctionType(operands.getTypes(), {}));
    kernel.setPrivate();
    kernel->setAttr(
        "llvm.linkage",
        LLVM::LinkageAttr::get(builder.getContext(), LLVM::Linkage::Internal));
    for (auto [i, type] : llvm::enumerate(operands.getTypes()))
      if (isa<MemRefType>(type))
        kernel.setArgAttr(unsigned(i), LLVM::LLVMDialect::getNoAliasAttrName(),
                          builder.getUnitAttr());
    name = symbols.insert(kernel).str();
    Emitter emitter(loc, builder.getContext());
    Block *block = kernel.addEntryBlock();
    emitter.setInsertionPointToStart(block);
    body(emitter, block->getArguments());
    func::ReturnOp::create(emitter);
  }
  func::CallOp::create(builder, loc, name, TypeRange(), operands);
}

} // namespace fairy2
