// SPDX-License-Identifier: Apache-2.0
//
// Loops, vectors and flat memory, written with arith, vector, memref and scf.
#include "passes/cpu/loops/Emitter.h"

using namespace mlir;

namespace fairy2 {

int64_t dividingLanes(int64_t count) {
  int64_t lanes = kLanes;
  while (count % lanes)
    lanes /= 2;
  return lanes;
}

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

Value Emitter::splat(Value scalar, int64_t lanes) {
  return vector::BroadcastOp::create(*this, vector(scalar.getType(), lanes),
                                     scalar);
}

static bool isFloat(Value v) { return isa<FloatType>(getElementTypeOrSelf(v)); }

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
Value Emitter::mul(Value a, int64_t b) { return b == 1 ? a : mul(a, index(b)); }
Value Emitter::div(Value a, int64_t b) { return b == 1 ? a : div(a, index(b)); }
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
      /*nontemporal=*/false, llvm::MaybeAlign(std::max(alignment, natural)));
}

void Emitter::storeVector(Value value, Value memref, Value index,
                          int64_t alignment) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  const int64_t natural = (element.getIntOrFloatBitWidth() + 7) / 8;
  vector::StoreOp::create(*this, value, memref, ValueRange{index},
                          /*nontemporal=*/false,
                          llvm::MaybeAlign(std::max(alignment, natural)));
}

void Emitter::storeRows(Value rows, Value memref, Value index, Value validRows,
                        bool allWhole) {
  if (allWhole)
    return storeVector(rows, memref, index);
  Value whole = arith::CmpIOp::create(*this, arith::CmpIPredicate::sge,
                                      validRows, this->index(kLanes));
  branch(
      whole, [&] { storeVector(rows, memref, index); },
      [&] {
        for (int64_t r = 0; r + 1 < kLanes; ++r) {
          Value valid = arith::CmpIOp::create(*this, arith::CmpIPredicate::sgt,
                                              validRows, this->index(r));
          auto store =
              scf::IfOp::create(*this, valid, /*withElseRegion=*/false);
          InsertionGuard inner(*this);
          setInsertionPointToStart(store.thenBlock());
          this->store(vector::ExtractOp::create(*this, rows, r), memref,
                      add(index, r));
        }
      });
}

void Emitter::prefetch(Value memref, Value index, int level) {
  memref::PrefetchOp::create(*this, memref, ValueRange{index},
                             /*isWrite=*/false, uint32_t(level),
                             /*isDataCache=*/true);
}

Value Emitter::toFloats(Value stored) {
  auto type = cast<VectorType>(stored.getType());
  const VectorType result = floats(type.getNumElements());
  const VectorType words = ints(type.getNumElements());
  if (type.getElementType().isF32())
    return stored;
  if (type.getElementType().isInteger(32))
    return arith::SIToFPOp::create(*this, result, stored);
  if (type.getElementType().isInteger(8))
    return arith::SIToFPOp::create(
        *this, result, arith::ExtSIOp::create(*this, words, stored));
  if (type.getElementType().isF16())
    return arith::ExtFOp::create(*this, result, stored);
  // BF16: the upper half of a float32.
  Value bits = arith::ExtUIOp::create(
      *this, words,
      bitcast(vector(getI16Type(), type.getNumElements()), stored));
  return bitcast(result,
                 arith::ShLIOp::create(*this, bits, constant(words, 16)));
}

Value Emitter::clamp(Value x, double bound) {
  return arith::MinNumFOp::create(*this,
                                  maximum(x, constant(x.getType(), -bound)),
                                  constant(x.getType(), bound));
}

Value Emitter::toHalf(Value x) {
  constexpr double kLargestHalf = 65504;
  const int64_t lanes = cast<VectorType>(x.getType()).getNumElements();
  return arith::TruncFOp::create(*this, vector(getF16Type(), lanes),
                                 clamp(x, kLargestHalf));
}

std::pair<Value, Value> Emitter::int8Scale(Value largest) {
  const Type f32 = getF32Type();
  Value limit = constant(f32, 127.0), zero = constant(f32, 0.0);
  Value isZero =
      arith::CmpFOp::create(*this, arith::CmpFPredicate::OEQ, largest, zero);
  return {div(largest, limit),
          arith::SelectOp::create(*this, isZero, zero, div(limit, largest))};
}

Value Emitter::toInt8(Value x, Value inverse) {
  const int64_t lanes = cast<VectorType>(x.getType()).getNumElements();
  Value rounded =
      math::RoundEvenOp::create(*this, mul(x, splat(inverse, lanes)));
  return arith::TruncIOp::create(
      *this, bytes(lanes),
      arith::FPToSIOp::create(*this, ints(lanes), clamp(rounded, 127)));
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

void Emitter::branch(Value condition, llvm::function_ref<void()> yes,
                     llvm::function_ref<void()> no) {
  auto branch = scf::IfOp::create(*this, condition, /*withElseRegion=*/true);
  InsertionGuard guard(*this);
  setInsertionPointToStart(branch.thenBlock());
  yes();
  setInsertionPointToStart(branch.elseBlock());
  no();
}

void Emitter::forall(Value count, llvm::function_ref<void(Value)> body) {
  auto loop = scf::ForallOp::create(*this, SmallVector<OpFoldResult>{count},
                                    ValueRange(), std::nullopt);
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
  return body(index(whole), lanesBelow(features - whole), carried);
}

Value Emitter::lanesBelow(int64_t count) {
  if (count >= kLanes)
    return {};
  SmallVector<bool> lanes(kLanes, false);
  std::fill_n(lanes.begin(), count, true);
  return arith::ConstantOp::create(
      *this, DenseElementsAttr::get(vector(getI1Type()), lanes));
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
