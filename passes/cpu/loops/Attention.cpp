// SPDX-License-Identifier: Apache-2.0
//
// Attention over the KV cache.
#include "passes/cpu/loops/KVCache.h"
#include "passes/cpu/loops/LoopContext.h"

#include "llvm/Support/FormatVariadic.h"

#include <numeric>

using namespace mlir;

namespace fairy2 {
static void lowerCacheWrite(AttentionOp op, LoopContext &context) {
  const KVCacheLayout layout(op.getCache().getType());
  const int64_t heads = layout.heads(), dim = layout.dim();
  const Buffer &key = context.buffer(op.getKey());
  const Buffer &value = context.buffer(op.getValue());
  context.call(
      op.getLoc(),
      llvm::formatv("cache_write_{0}_{1}x{2}_{3}_{4}", layout.elementName(),
                    heads, dim, key.stride, value.stride),
      {context.view(op.getKey()), context.view(op.getValue()),
       context.arguments.cache, context.view(op.getSlots()),
       context.view(op.getPositions()), context.arguments.context,
       context.tokenCount(op.getKey()), context.index(op.getLayer())},
      [&](Emitter &e, ValueRange a) {
        e.forall(e.mul(a[6], heads), [&](Value f) {
          Value i = e.div(f, heads), head = e.rem(f, heads);
          Value slot = e.toIndex(e.load(a[3], i));
          Value position = e.toIndex(e.load(a[4], i));
          const KVCacheLayout::Head at = layout.head(e, slot, a[7], head, a[5]);
          Value start = e.mul(head, dim);
          layout.writeKey(e, a[0], e.add(e.mul(i, key.stride), start), a[2], at,
                          position);
          layout.writeValue(e, a[1], e.add(e.mul(i, value.stride), start), a[2],
                            at, position);
        });
      });
}

namespace {

/// How the query heads of one key head share a walk through the cache.
struct AttendShape {
  int64_t dim, lanes, vectors; ///< a head is `vectors` vectors of `lanes`
  int64_t together;            ///< heads of one walk
  int64_t sums;                ///< interleaved sums of a score

  AttendShape(int64_t dim, int64_t group, const CpuTarget &target)
      : dim(dim), lanes(dividingLanes(dim)), vectors(dim / lanes) {
    // Half of the registers of AVX-512 hold weighted values; fewer and
    // narrower registers hold those of one head.
    const int64_t registers = target.form == LookupForm::Quad ? 16 : 4;
    together = 1;
    for (int64_t heads = 2; heads <= group; ++heads)
      if (group % heads == 0 && heads * vectors <= registers)
        together = heads;
    // Depends on the model alone, so that all CPUs add in one order.
    sums = dim % 4 != 0 ? 1 : group > 1 ? 2 : 4;
  }
};

/// Scores of the 16 positions of one block for every head: q . K.
SmallVector<Value> blockScores(Emitter &e, const AttendShape &shape,
                               Value query, Value queryRow, Value cache,
                               Value keys) {
  SmallVector<Value> init(shape.together * shape.sums,
                          e.constant(e.floats(), 0.0));
  SmallVector<Value> partial = e.forLoop(
      e.index(0), e.index(shape.dim), shape.sums, init,
      [&](Value d, ValueRange carried) {
        SmallVector<Value> next(carried);
        for (int64_t k = 0; k < shape.sums; ++k) {
          Value at = e.add(d, k);
          Value column =
              e.loadFloats(cache, e.add(keys, e.mul(at, kLanes)), kLanes);
          for (int64_t h = 0; h < shape.together; ++h) {
            Value q = e.splat(
                e.load(query, e.add(e.add(queryRow, at), h * shape.dim)));
            Value &sum = next[h * shape.sums + k];
            sum = e.add(sum, e.mul(q, column));
          }
        }
        return next;
      });
  SmallVector<Value> scores;
  for (int64_t h = 0; h < shape.together; ++h) {
    SmallVector<Value> sums(
        ArrayRef<Value>(partial).slice(h * shape.sums, shape.sums));
    for (; sums.size() > 1; sums.resize(sums.size() / 2))
      for (size_t k = 0; k < sums.size() / 2; ++k)
        sums[k] = e.add(sums[2 * k], sums[2 * k + 1]);
    scores.push_back(sums[0]);
  }
  return scores;
}

} // namespace

/// The heads of a walk go through the cache in blocks of 16 positions, each
/// keeping its running maximum, sum of exponentials and weighted values (online
/// softmax, Milakov and Gimelshein, arXiv 1805.02867). The order is that of the
/// positions, whatever the batch.
static void lowerAttend(AttentionOp op, LoopContext &context) {
  const KVCacheLayout layout(op.getCache().getType());
  const int64_t heads = featuresOf(op.getQuery()) / layout.dim();
  const int64_t group = heads / layout.heads();
  const AttendShape shape(layout.dim(), group, context.target);
  const int64_t dim = shape.dim, lanes = shape.lanes;
  const Buffer &query = context.buffer(op.getQuery());
  const Buffer &out = context.buffer(op.getResult());
  const double scale = op.getScale().convertToDouble();
  const std::optional<uint64_t> window = op.getWindow();
  const double cap = op.getSoftCap() ? op.getSoftCap()->convertToDouble() : 0;
  // Far below any score, yet finite, so that differences stay numbers.
  const double lowest = -1e30;
  context.call(
      op.getLoc(),
      llvm::formatv("attend_{0}_{1}x{2}_{3}_{4}_{5}_{6}_window{7}_cap{8}",
                    layout.elementName(), heads, dim, layout.heads(),
                    query.stride, out.stride, bitsOf(op.getScale()),
                    window.value_or(0),
                    op.getSoftCap() ? bitsOf(*op.getSoftCap()) : 0),
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
        const int64_t walks = heads / shape.together;
        // State of a head: maximum, sum of exponentials, weighted values.
        const int64_t state = 2 + shape.vectors;
        e.forall(e.mul(a[6], walks), [&](Value f) {
          Value i = e.div(f, walks);
          Value head = e.mul(e.rem(f, walks), shape.together);
          Value slot = e.toIndex(e.load(a[2], i));
          Value position = e.load(a[3], i);
          const KVCacheLayout::Head at =
              layout.head(e, slot, a[7], e.div(head, group), a[5]);
          Value row = e.add(e.mul(i, query.stride), e.mul(head, dim));

          SmallVector<Value> init;
          for (int64_t h = 0; h < shape.together; ++h) {
            init.push_back(e.constant(f32, lowest));
            init.push_back(e.constant(f32, 0.0));
            init.append(shape.vectors, e.constant(e.floats(lanes), 0.0));
          }
          Value end = e.add(e.toIndex(position), 1);
          Value first = e.index(0); // The first position that is visible.
          if (window)
            first = e.sub(
                end, arith::MinUIOp::create(e, end, e.index(int64_t(*window))));
          // Blocks of 16 positions; in the last one some may not be visible
          // yet, in the first one not any more. What the cache holds there is
          // undefined and must not count, not even as 0 times NaN.
          auto attendBlock = [&](Value start, ValueRange carried,
                                 bool isPartial) {
            SmallVector<Value> scores = blockScores(
                e, shape, a[0], row, a[1], e.add(at.keys, e.mul(start, dim)));
            Value keyScales = layout.loadScales(e, a[1], at.keyScales, start);
            Value valueScales =
                layout.loadScales(e, a[1], at.valueScales, start);
            Value visible;
            if (isPartial) {
              Value positions = e.add(
                  e.splat(arith::IndexCastOp::create(e, e.getI32Type(), start)),
                  lane);
              visible = arith::CmpIOp::create(e, arith::CmpIPredicate::sle,
                                              positions, e.splat(position));
              if (window)
                visible = arith::AndIOp::create(
                    e, visible,
                    arith::CmpIOp::create(e, arith::CmpIPredicate::sge,
                                          positions,
                                          e.splat(arith::IndexCastOp::create(
                                              e, e.getI32Type(), first))));
            }
            SmallVector<Value> next(carried), weights;
            for (int64_t h = 0; h < shape.together; ++h) {
              Value *mine = &next[h * state];
              Value score = e.mul(scores[h], e.constant(e.floats(), scale));
              if (keyScales)
                score = e.mul(score, keyScales);
              if (op.getSoftCap())
                score = e.softCap(score, cap);
              if (isPartial)
                score = arith::SelectOp::create(e, visible, score,
                                                e.constant(e.floats(), lowest));
              Value max = e.maximum(
                  mine[0], vector::ReductionOp::create(
                               e, vector::CombiningKind::MAXNUMF, score));
              Value weight = e.keep(
                  math::ExpOp::create(e, e.sub(score, e.splat(max))), visible);
              Value rescale = math::ExpOp::create(e, e.sub(mine[0], max));
              mine[0] = max;
              mine[1] = e.add(e.mul(mine[1], rescale), e.treeSum(weight));
              Value rescales = e.splat(rescale, lanes);
              for (int64_t v = 0; v < shape.vectors; ++v)
                mine[2 + v] = e.mul(mine[2 + v], rescales);
              weights.push_back(
                  valueScales ? e.keep(e.mul(weight, valueScales), visible)
                              : weight);
            }
            Value blockValues = e.add(at.values, e.mul(start, dim));
            for (int64_t p = 0; p < kLanes; ++p) {
              Value counts;
              if (isPartial)
                counts = vector::BroadcastOp::create(
                    e, e.vector(e.getI1Type(), lanes),
                    vector::ExtractOp::create(e, visible, p));
              for (int64_t v = 0; v < shape.vectors; ++v) {
                Value value = e.keep(
                    e.loadFloats(a[1], e.add(blockValues, p * dim + v * lanes),
                                 lanes),
                    counts);
                for (int64_t h = 0; h < shape.together; ++h) {
                  Value weight = e.splat(
                      vector::ExtractOp::create(e, weights[h], p), lanes);
                  Value &sum = next[h * state + 2 + v];
                  sum = e.add(sum, e.mul(weight, value));
                }
              }
            }
            return next;
          };
          auto attendBlocks = [&](Value begin, Value stop, ValueRange carried,
                                  bool arePartial) {
            return e.forLoop(begin, stop, kLanes, carried,
                             [&](Value start, ValueRange inner) {
                               return attendBlock(start, inner, arePartial);
                             });
          };
          SmallVector<Value> final(init);
          Value firstWhole = first; // Nothing before the window is read.
          if (window) {
            firstWhole = e.mul(e.div(e.add(first, kLanes - 1), kLanes), kLanes);
            final = attendBlocks(e.mul(e.div(first, kLanes), kLanes),
                                 firstWhole, final, true);
          }
          Value whole = e.mul(e.div(end, kLanes), kLanes);
          final = attendBlocks(firstWhole, whole, final, false);
          if (window)
            whole = arith::MaxUIOp::create(e, whole, firstWhole);
          final = attendBlocks(whole, end, final, true);
          for (int64_t h = 0; h < shape.together; ++h) {
            Value total = e.splat(final[h * state + 1], lanes);
            Value to =
                e.add(e.add(e.mul(i, out.stride), e.mul(head, dim)), h * dim);
            for (int64_t v = 0; v < shape.vectors; ++v)
              e.storeVector(e.div(final[h * state + 2 + v], total), a[4],
                            e.add(to, v * lanes));
          }
        });
      });
}

void lowerAttention(AttentionOp op, LoopContext &context) {
  lowerCacheWrite(op, context);
  lowerAttend(op, context);
}

} // namespace fairy2
