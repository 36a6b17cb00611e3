// SPDX-License-Identifier: Apache-2.0
#include "passes/loops/Emitter.h"

using namespace mlir;

namespace fairy2 {

Value Emitter::index(int64_t value) {
  return arith::ConstantIndexOp::create(*this, value);
}

static TypedAttr splatOf(Type type, TypedAttr scalar) {
  if (auto vector = dyn_cast<VectorType>(type))
    return DenseElementsAttr::get(vector, scalar);
  return scalar;
}

Value Emitter::constant(Type type, double value) {
  return arith::ConstantOp::create(
      *this, splatOf(type, getFloatAttr(getElementTypeOrSelf(type), value)));
}

Value Emitter::constant(Type type, int64_t value) {
  return arith::ConstantOp::create(
      *this, splatOf(type, getIntegerAttr(getElementTypeOrSelf(type), value)));
}

Value Emitter::bytePattern(ArrayRef<int8_t> values) {
  return arith::ConstantOp::create(
      *this, DenseElementsAttr::get(bytes(int64_t(values.size())), values));
}

Value Emitter::splat(Value scalar, int64_t lanes) {
  return vector::BroadcastOp::create(*this, vector(scalar.getType(), lanes),
                                     scalar);
}

static bool isFloat(Value v) {
  return isa<FloatType>(getElementTypeOrSelf(v));
}

Value Emitter::add(Value a, Value b) {
  if (isFloat(a))
    return arith::AddFOp::create(*this, a, b);
  return arith::AddIOp::create(*this, a, b);
}
Value Emitter::sub(Value a, Value b) {
  if (isFloat(a))
    return arith::SubFOp::create(*this, a, b);
  return arith::SubIOp::create(*this, a, b);
}
Value Emitter::mul(Value a, Value b) {
  if (isFloat(a))
    return arith::MulFOp::create(*this, a, b);
  return arith::MulIOp::create(*this, a, b);
}
Value Emitter::div(Value a, Value b) {
  if (isFloat(a))
    return arith::DivFOp::create(*this, a, b);
  return arith::DivUIOp::create(*this, a, b);
}
Value Emitter::rem(Value a, Value b) {
  return arith::RemUIOp::create(*this, a, b);
}
Value Emitter::add(Value a, int64_t b) { return b ? add(a, index(b)) : a; }
Value Emitter::mul(Value a, int64_t b) {
  return b == 1 ? a : mul(a, index(b));
}
Value Emitter::div(Value a, int64_t b) {
  return b == 1 ? a : div(a, index(b));
}
Value Emitter::rem(Value a, int64_t b) { return rem(a, index(b)); }

Value Emitter::maximum(Value a, Value b) {
  if (isFloat(a))
    return arith::MaxNumFOp::create(*this, a, b);
  return arith::MaxSIOp::create(*this, a, b);
}

Value Emitter::softCap(Value x, double cap) {
  Value bound = constant(x.getType(), cap);
  return mul(math::TanhOp::create(*this, div(x, bound)), bound);
}

Value Emitter::toIndex(Value integer) {
  return arith::IndexCastUIOp::create(*this, getIndexType(), integer);
}

Value Emitter::bitcast(Type type, Value v) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector::BitCastOp::create(*this, vector, v);
  return arith::BitcastOp::create(*this, type, v);
}

Value Emitter::load(Value memref, Value index) {
  return memref::LoadOp::create(*this, memref, ValueRange{index});
}

void Emitter::store(Value value, Value memref, Value index) {
  memref::StoreOp::create(*this, value, memref, ValueRange{index});
}

Value Emitter::loadVector(Value memref, Value index, int64_t lanes,
                          int64_t alignment) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  const int64_t natural = (element.getIntOrFloatBitWidth() + 7) / 8;
  return vector::LoadOp::create(
      *this, vector(element, lanes), memref, ValueRange{index},
      /*nontemporal=*/false,
      llvm::MaybeAlign(std::max(alignment, natural)));
}

void Emitter::storeVector(Value value, Value memref, Value index,
                          int64_t alignment) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  const int64_t natural = (element.getIntOrFloatBitWidth() + 7) / 8;
  vector::StoreOp::create(*this, value, memref, ValueRange{index},
                          /*nontemporal=*/false,
                          llvm::MaybeAlign(std::max(alignment, natural)));
}

void Emitter::prefetch(Value memref, Value index, int level) {
  memref::PrefetchOp::create(*this, memref, ValueRange{index},
                             /*isWrite=*/false, uint32_t(level),
                             /*isDataCache=*/true);
}

Value Emitter::loadWeights(Value memref, Value index) {
  Value stored = loadVector(memref, index, kLanes);
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  if (element.isF32())
    return stored;
  Value bits = arith::ExtUIOp::create(
      *this, ints(),
      bitcast(vector(getI16Type()), stored));
  if (element.isBF16())
    return bitcast(floats(),
        arith::ShLIOp::create(*this, bits, constant(ints(), 16)));
  // F16: exponent and mantissa moved to their places in a float32 whose
  // exponent is then 112 too small; the product repairs that exactly, for
  // subnormals as well. Not every level has the conversion as an instruction.
  auto masked = [&](int64_t mask, int64_t shift) -> Value {
    return arith::ShLIOp::create(
        *this,
        arith::AndIOp::create(*this, bits, constant(ints(), mask)),
        constant(ints(), shift));
  };
  Value magnitude =
      mul(bitcast(floats(), masked(0x7fff, 13)),
          constant(floats(), 0x1p112));
  return bitcast(floats(),
      arith::OrIOp::create(
          *this, bitcast(ints(), magnitude),
          masked(0x8000, 16)));
}

SmallVector<Value> Emitter::forLoop(Value begin, Value end, int64_t step,
                                    ValueRange init, Body body) {
  auto loop = scf::ForOp::create(*this, begin, end, index(step), init);
  InsertionGuard guard(*this);
  if (init.empty())
    setInsertionPoint(loop.getBody()->getTerminator());
  else
    setInsertionPointToStart(loop.getBody());
  SmallVector<Value> results =
      body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!init.empty())
    scf::YieldOp::create(*this, results);
  return SmallVector<Value>(loop.getResults());
}

void Emitter::forLoop(Value begin, Value end,
                      llvm::function_ref<void(Value)> body) {
  forLoop(begin, end, 1, {}, [&](Value i, ValueRange) -> SmallVector<Value> {
    body(i);
    return {};
  });
}

void Emitter::forall(Value count, llvm::function_ref<void(Value)> body) {
  auto loop = scf::ForallOp::create(
      *this, SmallVector<OpFoldResult>{count}, ValueRange(), std::nullopt);
  InsertionGuard guard(*this);
  setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar(0));
}

SmallVector<Value> Emitter::forRow(int64_t features, ValueRange init,
                                   RowBody body) {
  const int64_t whole = features / kLanes * kLanes;
  SmallVector<Value> carried(init);
  if (whole)
    carried = forLoop(index(0), index(whole), kLanes, carried,
                      [&](Value offset, ValueRange values) {
                        return body(offset, Value(), values);
                      });
  if (whole == features)
    return carried;
  SmallVector<bool> lanes(kLanes, false);
  std::fill_n(lanes.begin(), features - whole, true);
  Value mask = arith::ConstantOp::create(
      *this, DenseElementsAttr::get(vector(getI1Type()), lanes));
  return body(index(whole), mask, carried);
}

Value Emitter::keep(Value value, Value mask) {
  if (!mask)
    return value;
  Value zero = arith::ConstantOp::create(*this, getZeroAttr(value.getType()));
  return arith::SelectOp::create(*this, mask, value, zero);
}

Value Emitter::slice(Value vector, int64_t begin, int64_t count) {
  return vector::ExtractStridedSliceOp::create(*this, vector, begin, count, 1);
}

Value Emitter::treeSum(Value vector) {
  int64_t lanes = cast<VectorType>(vector.getType()).getNumElements();
  for (; lanes > 1; lanes /= 2)
    vector =
        add(slice(vector, 0, lanes / 2), slice(vector, lanes / 2, lanes / 2));
  return vector::ExtractOp::create(*this, vector, 0);
}

} // namespace fairy2
