// SPDX-License-Identifier: Apache-2.0
//
// Addresses in the KV cache, and reads and writes of keys, values and scales.
#include "passes/cpu/loops/KVCache.h"

using namespace mlir;

namespace fairy2 {

int64_t KVCacheLayout::scaleElements() const {
  return type.getElement().isInteger(8) ? int64_t(sizeof(float)) : 0;
}

int64_t KVCacheLayout::bytesPerPosition() const {
  return layers() * heads() * headElements() * elementBytes();
}

SmallVector<int64_t> KVCacheLayout::planes() const {
  SmallVector<int64_t> planes = {2 * heads(), dim() * elementBytes()};
  if (const int64_t size = scaleElements())
    planes.append({2 * heads(), size * elementBytes()});
  return planes;
}

std::string KVCacheLayout::elementName() const {
  std::string name;
  llvm::raw_string_ostream(name) << type.getElement();
  return name;
}

KVCacheLayout::Head KVCacheLayout::head(Emitter &e, Value slot, Value layer,
                                        Value head, Value context) const {
  const int64_t layerElements = heads() * headElements();
  Value base = e.add(e.mul(slot, layerElements * type.getLayers()),
                     e.mul(layer, layerElements));
  base = e.mul(base, context);
  // The head's part of the next array, whose entries have `size` elements.
  auto next = [&](int64_t size) {
    Value at = e.add(base, e.mul(e.mul(head, size), context));
    base = e.add(base, e.mul(context, heads() * size));
    return at;
  };
  Head result;
  result.keys = next(dim());
  result.values = next(dim());
  if (const int64_t size = scaleElements()) {
    result.keyScales = next(size);
    result.valueScales = next(size);
  }
  return result;
}

/// if int8: largest = max |source|; store the scale; inverse = 127 / largest
/// for vector d of the head: cache[to + d * stride] = source[d], converted
void KVCacheLayout::write(Emitter &e, Value source, Value from, Value cache,
                          Value to, int64_t stride, Value scale) const {
  const int64_t lanes = dividingLanes(dim());
  auto loadSource = [&](Value d) {
    return e.loadVector(source, e.add(from, d), lanes);
  };
  Value inverse;
  if (scale) {
    Value largest = e.forLoop(
        e.index(0), e.index(dim()), lanes, {e.constant(e.floats(lanes), 0.0)},
        [&](Value d, ValueRange max) -> SmallVector<Value> {
          return {e.maximum(max[0], math::AbsFOp::create(e, loadSource(d)))};
        })[0];
    const auto [size, inverseSize] = e.int8Scale(vector::ReductionOp::create(
        e, vector::CombiningKind::MAXNUMF, largest));
    inverse = inverseSize;
    e.storeVector(e.bitcast(e.bytes(scaleElements()), e.splat(size, 1)), cache,
                  scale);
  }
  e.forLoop(e.index(0), e.index(dim()), lanes, {},
            [&](Value d, ValueRange) -> SmallVector<Value> {
              Value stored = loadSource(d);
              if (scale)
                stored = e.toInt8(stored, inverse);
              else if (type.getElement().isF16())
                stored = e.toHalf(stored);
              if (stride == 1) {
                e.storeVector(stored, cache, e.add(to, d));
                return {};
              }
              for (int64_t lane = 0; lane < lanes; ++lane)
                e.store(vector::ExtractOp::create(e, stored, lane), cache,
                        e.add(to, e.mul(e.add(d, lane), stride)));
              return {};
            });
}

static Value scaleOf(Emitter &e, Value scales, Value position) {
  return scales ? e.add(scales, e.mul(position, int64_t(sizeof(float))))
                : Value();
}

void KVCacheLayout::writeKey(Emitter &e, Value source, Value from, Value cache,
                             const Head &head, Value position) const {
  Value to =
      e.add(e.add(head.keys, e.mul(e.div(position, kLanes), dim() * kLanes)),
            e.rem(position, kLanes));
  write(e, source, from, cache, to, kLanes,
        scaleOf(e, head.keyScales, position));
}

void KVCacheLayout::writeValue(Emitter &e, Value source, Value from,
                               Value cache, const Head &head,
                               Value position) const {
  write(e, source, from, cache, e.add(head.values, e.mul(position, dim())), 1,
        scaleOf(e, head.valueScales, position));
}

Value KVCacheLayout::loadScales(Emitter &e, Value cache, Value scales,
                                Value position) const {
  if (!scales)
    return Value();
  return e.bitcast(e.floats(), e.loadVector(cache, scaleOf(e, scales, position),
                                            kLanes * scaleElements()));
}

} // namespace fairy2
