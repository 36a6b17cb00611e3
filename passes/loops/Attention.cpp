// SPDX-License-Identifier: Apache-2.0
//
// Rotary embedding and attention over the KV cache.
//
// The cache in floats, for a context of C positions (a multiple of 16), L
// layers, H heads of d numbers:
//   [slot][layer][ keys: [head][C / 16][d][16] | values: [head][C][d] ]
// Keys lie in blocks of 16 positions, position innermost, so that a vector
// holds the scores of 16 positions and no sum runs across lanes.
#include "dialect/Packing.h"
#include "passes/loops/LoopContext.h"

#include "llvm/Support/FormatVariadic.h"

#include <cmath>

using namespace mlir;

namespace fairy2 {
namespace {

/// The widest vector, at most 16 lanes, that divides `count`.
int64_t dividingLanes(int64_t count) {
  int64_t lanes = kLanes;
  while (count % lanes)
    lanes /= 2;
  return lanes;
}

/// A private constant table of float64.
Value constantTable(Emitter &e, ModuleOp module, StringRef name,
                    ArrayRef<double> values) {
  auto type = MemRefType::get({int64_t(values.size())}, e.getF64Type());
  if (!module.lookupSymbol(name)) {
    OpBuilder builder(module.getBodyRegion());
    memref::GlobalOp::create(
        builder, e.getLoc(), name, builder.getStringAttr("private"), type,
        DenseElementsAttr::get(
            RankedTensorType::get(type.getShape(), e.getF64Type()), values),
        /*constant=*/true, builder.getI64IntegerAttr(64));
  }
  return memref::GetGlobalOp::create(e, type, name);
}

/// Addresses inside the cache, in floats.
struct CacheLayout {
  KVCacheType type;

  int64_t floatsPerPosition() const { return 2 * headFloats() * type.getLayers(); }
  int64_t headFloats() const { return type.getHeads() * type.getDim(); }

  Value layerBase(Emitter &e, Value slot, Value layer, Value context) const {
    Value slots = e.mul(slot, floatsPerPosition());
    return e.mul(e.add(slots, e.mul(layer, 2 * headFloats())), context);
  }
  Value keys(Emitter &e, Value layerBase, Value head, Value context) const {
    return e.add(layerBase, e.mul(e.mul(head, type.getDim()), context));
  }
  Value values(Emitter &e, Value layerBase, Value head, Value context) const {
    return e.add(keys(e, layerBase, head, context),
                 e.mul(context, headFloats()));
  }
};

} // namespace

/// cos and sin of p f by the angle sum of p = a B + b: two small tables of
/// float64 instead of one row per position, and no library call.
void lowerRopeTable(RopeTableOp op, LoopContext &context) {
  const ArrayRef<float> frequencies = op.getInverseFrequencies();
  const int64_t half = int64_t(frequencies.size());
  const int64_t positions = op.getMaxPositions();
  int64_t fine = 1;
  while (fine * fine < positions)
    fine *= 2;
  const int64_t coarse = (positions + fine - 1) / fine;
  auto table = [&](int64_t count, int64_t step) {
    std::vector<double> values;
    for (int64_t p = 0; p < count; ++p)
      for (double (*f)(double) : {(double (*)(double))std::cos,
                                  (double (*)(double))std::sin})
        for (float frequency : frequencies)
          values.push_back(f(double(p * step) * double(frequency)));
    return values;
  };
  const Buffer &out = context.buffer(op.getResult());
  ModuleOp module = op->getParentOfType<ModuleOp>();
  context.call(
      op.getLoc(), llvm::formatv("rope_table_{0}_{1}", 2 * half, out.stride),
      {context.view(op.getPositions()), context.view(op.getResult()),
       context.tokenCount(op.getPositions())},
      [&](Emitter &e, ValueRange a) {
        Value coarseTable =
            constantTable(e, module, "rope_coarse", table(coarse, fine));
        Value fineTable = constantTable(e, module, "rope_fine", table(fine, 1));
        e.forall(a[2], [&](Value i) {
          Value position = e.toIndex(e.load(a[0], i));
          Value coarseRow = e.mul(e.div(position, fine), 2 * half);
          Value fineRow = e.mul(e.rem(position, fine), 2 * half);
          Value to = e.mul(i, out.stride);
          e.forLoop(e.index(0), e.index(half), [&](Value j) {
            auto entry = [&](Value table, Value row, int64_t shift) {
              return e.load(table, e.add(e.add(row, j), shift));
            };
            Value cosA = entry(coarseTable, coarseRow, 0);
            Value sinA = entry(coarseTable, coarseRow, half);
            Value cosB = entry(fineTable, fineRow, 0);
            Value sinB = entry(fineTable, fineRow, half);
            auto write = [&](Value value, int64_t shift) {
              e.store(arith::TruncFOp::create(e, e.getF32Type(), value), a[1],
                      e.add(e.add(to, j), shift));
            };
            write(e.sub(e.mul(cosA, cosB), e.mul(sinA, sinB)), 0);
            write(e.add(e.mul(sinA, cosB), e.mul(cosA, sinB)), half);
          });
        });
      });
}

void lowerRope(RopeOp op, LoopContext &context) {
  const Buffer &in = context.buffer(op.getInput());
  const Buffer &table = context.buffer(op.getTable());
  const Buffer &out = context.buffer(op.getResult());
  const int64_t dim = featuresOf(op.getTable()), half = dim / 2;
  const int64_t heads = featuresOf(op.getInput()) / dim;
  const int64_t lanes = dividingLanes(half);
  context.call(
      op.getLoc(),
      llvm::formatv("rope_{0}x{1}_{2}_{3}_{4}", heads, dim, in.stride,
                    table.stride, out.stride),
      {context.view(op.getInput()), context.view(op.getTable()),
       context.view(op.getResult()), context.tokenCount(op.getInput())},
      [&](Emitter &e, ValueRange a) {
        e.forall(e.mul(a[3], heads), [&](Value f) {
          Value i = e.div(f, heads), head = e.mul(e.rem(f, heads), dim);
          Value from = e.add(e.mul(i, in.stride), head);
          Value to = e.add(e.mul(i, out.stride), head);
          Value angles = e.mul(i, table.stride);
          e.forLoop(
              e.index(0), e.index(half), lanes, {},
              [&](Value j, ValueRange) -> SmallVector<Value> {
                auto load = [&](Value memref, Value base, int64_t shift) {
                  return e.loadVector(memref, e.add(e.add(base, j), shift),
                                      lanes);
                };
                Value x1 = load(a[0], from, 0), x2 = load(a[0], from, half);
                Value cos = load(a[1], angles, 0),
                      sin = load(a[1], angles, half);
                e.storeVector(e.sub(e.mul(x1, cos), e.mul(x2, sin)), a[2],
                              e.add(to, j));
                e.storeVector(e.add(e.mul(x2, cos), e.mul(x1, sin)), a[2],
                              e.add(e.add(to, j), half));
                return {};
              });
        });
      });
}

static void lowerCacheWrite(AttentionOp op, LoopContext &context) {
  const CacheLayout layout{op.getCache().getType()};
  const int64_t heads = layout.type.getHeads(), dim = layout.type.getDim();
  const Buffer &key = context.buffer(op.getKey());
  const Buffer &value = context.buffer(op.getValue());
  context.call(
      op.getLoc(),
      llvm::formatv("cache_write_{0}x{1}_{2}_{3}", heads, dim, key.stride,
                    value.stride),
      {context.view(op.getKey()), context.view(op.getValue()),
       context.arguments.cache, context.view(op.getSlots()),
       context.view(op.getPositions()), context.arguments.context,
       context.tokenCount(op.getKey()), context.index(op.getLayer())},
      [&](Emitter &e, ValueRange a) {
        e.forall(e.mul(a[6], heads), [&](Value f) {
          Value i = e.div(f, heads), head = e.rem(f, heads);
          Value slot = e.toIndex(e.load(a[3], i));
          Value position = e.toIndex(e.load(a[4], i));
          Value base = layout.layerBase(e, slot, a[7], a[5]);
          Value keys =
              e.add(layout.keys(e, base, head, a[5]),
                    e.add(e.mul(e.div(position, kLanes), dim * kLanes),
                          e.rem(position, kLanes)));
          Value values =
              e.add(layout.values(e, base, head, a[5]), e.mul(position, dim));
          Value headStart = e.mul(head, dim);
          Value fromKey = e.add(e.mul(i, key.stride), headStart);
          Value fromValue = e.add(e.mul(i, value.stride), headStart);
          e.forLoop(e.index(0), e.index(dim), [&](Value d) {
            e.store(e.load(a[0], e.add(fromKey, d)), a[2],
                    e.add(keys, e.mul(d, kLanes)));
            e.store(e.load(a[1], e.add(fromValue, d)), a[2],
                    e.add(values, d));
          });
        });
      });
}

/// Scores of the 16 positions of one block: q . K, in four interleaved sums.
static Value blockScores(Emitter &e, Value query, Value queryRow, Value cache,
                         Value keys, int64_t dim) {
  const int64_t sums = dim % 4 == 0 ? 4 : 1;
  SmallVector<Value> init(sums, e.constant(e.floats(), 0.0));
  SmallVector<Value> partial = e.forLoop(
      e.index(0), e.index(dim), sums, init,
      [&](Value d, ValueRange carried) {
        SmallVector<Value> next;
        for (int64_t k = 0; k < sums; ++k) {
          Value at = e.add(d, k);
          Value q = e.splat(e.load(query, e.add(queryRow, at)));
          Value column =
              e.loadVector(cache, e.add(keys, e.mul(at, kLanes)), kLanes);
          next.push_back(e.add(carried[k], e.mul(q, column)));
        }
        return next;
      });
  if (sums == 1)
    return partial[0];
  return e.add(e.add(partial[0], partial[1]), e.add(partial[2], partial[3]));
}

/// One head of one token walks the cache in blocks of 16 positions, keeping the
/// running maximum, the sum of exponentials and the weighted values (online
/// softmax, Milakov and Gimelshein, arXiv 1805.02867). The order is that of the
/// positions, whatever the batch.
static void lowerAttend(AttentionOp op, LoopContext &context) {
  const CacheLayout layout{op.getCache().getType()};
  const int64_t dim = layout.type.getDim();
  const int64_t heads = featuresOf(op.getQuery()) / dim;
  const int64_t group = heads / layout.type.getHeads();
  const int64_t lanes = dividingLanes(dim), vectors = dim / lanes;
  const Buffer &query = context.buffer(op.getQuery());
  const Buffer &out = context.buffer(op.getResult());
  const double scale = op.getScale().convertToDouble();
  // Far below any score, yet finite, so that differences stay numbers.
  const double lowest = -1e30;
  context.call(
      op.getLoc(),
      llvm::formatv("attend_{0}x{1}_{2}_{3}_{4}", heads, dim,
                    layout.type.getHeads(), query.stride, out.stride),
      {context.view(op.getQuery()), context.arguments.cache,
       context.view(op.getSlots()), context.view(op.getPositions()),
       context.view(op.getResult()), context.arguments.context,
       context.tokenCount(op.getQuery()), context.index(op.getLayer())},
      [&](Emitter &e, ValueRange a) {
        Type f32 = e.getF32Type();
        SmallVector<int32_t> iota(kLanes);
        std::iota(iota.begin(), iota.end(), 0);
        Value lane = arith::ConstantOp::create(
            e, DenseElementsAttr::get(e.ints(), ArrayRef<int32_t>(iota)));
        e.forall(e.mul(a[6], heads), [&](Value f) {
          Value i = e.div(f, heads), head = e.rem(f, heads);
          Value slot = e.toIndex(e.load(a[2], i));
          Value position = e.load(a[3], i);
          Value base = layout.layerBase(e, slot, a[7], a[5]);
          Value kvHead = e.div(head, group);
          Value keys = layout.keys(e, base, kvHead, a[5]);
          Value values = layout.values(e, base, kvHead, a[5]);
          Value row = e.add(e.mul(i, query.stride), e.mul(head, dim));

          SmallVector<Value> init = {e.constant(f32, lowest),
                                     e.constant(f32, 0.0)};
          init.append(vectors, e.constant(e.floats(lanes), 0.0));
          // Blocks of 16 positions; in the last one some may not be visible
          // yet. What the cache holds there is undefined and must not count,
          // not even as 0 times NaN.
          auto attendBlock = [&](Value start, ValueRange carried,
                                 bool isPartial) {
            Value scores =
                e.mul(blockScores(e, a[0], row, a[1],
                                  e.add(keys, e.mul(start, dim)), dim),
                      e.constant(e.floats(), scale));
            Value visible;
            if (isPartial) {
              Value at = e.add(e.splat(arith::IndexCastOp::create(
                                   e, e.getI32Type(), start)),
                               lane);
              visible = arith::CmpIOp::create(e, arith::CmpIPredicate::sle, at,
                                              e.splat(position));
              scores = arith::SelectOp::create(e, visible, scores,
                                               e.constant(e.floats(), lowest));
            }
            Value blockMax = vector::ReductionOp::create(
                e, vector::CombiningKind::MAXNUMF, scores);
            Value max = e.maximum(carried[0], blockMax);
            Value weights =
                math::ExpOp::create(e, e.sub(scores, e.splat(max)));
            weights = e.keep(weights, visible);
            Value rescale = math::ExpOp::create(e, e.sub(carried[0], max));
            SmallVector<Value> next = {
                max, e.add(e.mul(carried[1], rescale), e.treeSum(weights))};
            Value rescales = e.splat(rescale, lanes);
            SmallVector<Value> sums;
            for (int64_t v = 0; v < vectors; ++v)
              sums.push_back(e.mul(carried[2 + v], rescales));
            Value blockValues = e.add(values, e.mul(start, dim));
            for (int64_t p = 0; p < kLanes; ++p) {
              Value weight =
                  e.splat(vector::ExtractOp::create(e, weights, p), lanes);
              Value counts;
              if (isPartial)
                counts = vector::BroadcastOp::create(
                    e, e.vector(e.getI1Type(), lanes),
                    vector::ExtractOp::create(e, visible, p));
              for (int64_t v = 0; v < vectors; ++v) {
                Value value = e.keep(
                    e.loadVector(a[1],
                                 e.add(blockValues, p * dim + v * lanes),
                                 lanes),
                    counts);
                sums[v] = e.add(sums[v], e.mul(weight, value));
              }
            }
            next.append(sums);
            return next;
          };
          Value end = e.add(e.toIndex(position), 1);
          Value whole = e.mul(e.div(end, kLanes), kLanes);
          SmallVector<Value> state = e.forLoop(
              e.index(0), whole, kLanes, init,
              [&](Value start, ValueRange carried) {
                return attendBlock(start, carried, false);
              });
          state = e.forLoop(whole, end, kLanes, state,
                            [&](Value start, ValueRange carried) {
                              return attendBlock(start, carried, true);
                            });
          Value total = e.splat(state[1], lanes);
          Value to = e.add(e.mul(i, out.stride), e.mul(head, dim));
          for (int64_t v = 0; v < vectors; ++v)
            e.storeVector(e.div(state[2 + v], total), a[4],
                          e.add(to, v * lanes));
        });
      });
}

void lowerAttention(AttentionOp op, LoopContext &context) {
  lowerCacheWrite(op, context);
  lowerAttend(op, context);
}

} // namespace fairy2
