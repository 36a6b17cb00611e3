// SPDX-License-Identifier: Apache-2.0
//
// Attention over the KV cache.
#include "dialect/Fairy2ModelOps.h"
#include "passes/cpu/loops/KVCache.h"
#include "passes/cpu/loops/Kernel.h"
#include "passes/cpu/loops/Lowerings.h"

#include "llvm/Support/FormatVariadic.h"

#include <numeric>

using namespace mlir;

namespace fairy2 {

/// parallel for (token, head):
///   cache[slot][layer][head][position] = key[token], value[token]
///
/// Of the op's attributes it reads the layer alone, which is passed: layers
/// that attend in different ways share it.
static void lowerCacheWrite(AttentionOp op, LoopContext &context) {
  const KVCacheLayout layout(op.getCache().getType());
  const int64_t heads = layout.heads(), dim = layout.dim();
  Kernel kernel(context, op.getLoc(),
                llvm::formatv("cache_write_{0}_{1}x{2}", layout.elementName(),
                              heads, dim));
  const Rows key = kernel.rows(op.getKey());
  const Rows value = kernel.rows(op.getValue());
  const Argument cache = kernel.cache(op.getCache());
  const Rows slots = kernel.rows(op.getSlots());
  const Rows positions = kernel.rows(op.getPositions());
  const Argument contextLength = kernel.context();
  const Argument count = kernel.tokens(op.getKey());
  const Argument layer = kernel.constant(int64_t(op.getLayer()));
  kernel.emit([&](Emitter &e) {
    e.forall(e.mul(count, heads), [&](Value f) {
      Value i = e.div(f, heads), head = e.rem(f, heads);
      Value slot = e.toIndex(e.load(slots, i));
      Value position = e.toIndex(e.load(positions, i));
      const KVCacheLayout::Head at =
          layout.head(e, slot, layer, head, contextLength);
      Value start = e.mul(head, dim);
      layout.writeKey(e, key, e.add(key.row(e, i), start), cache, at, position);
      layout.writeValue(e, value, e.add(value.row(e, i), start), cache, at,
                        position);
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

/// Far below any score, yet finite, so that differences stay numbers.
constexpr double kLowestScore = -1e30;

/// One walk: the heads that share it, of one token, and what they see.
///
/// The heads of a walk go through the cache in blocks of 16 positions, each
/// keeping its running maximum, sum of exponentials and weighted values (online
/// softmax, Milakov and Gimelshein, arXiv 1805.02867). The order is that of the
/// positions, whatever the batch.
class Walk {
public:
  Walk(Emitter &e, AttentionOp op, const AttendShape &shape)
      : e(e), op(op), shape(shape), layout(op.getCache().getType()) {}

  Value query, queryRow; ///< where the first head's query lies
  Value cache;
  KVCacheLayout::Head at; ///< of the key head
  Value lane;             ///< 0 .. 15
  Value position;         ///< the token's, and the last visible one
  Value first;            ///< the first position that is visible

  /// Walks all visible blocks; returns the state of every head.
  Values attend();
  /// Stores what the heads found at out[to], one after the other: weighted
  /// values over the sum of exponentials.
  void storeResults(ArrayRef<Value> state, Value out, Value to);

private:
  /// State of a head: maximum, sum of exponentials, weighted values.
  enum { Maximum, Exponentials, Weighted };
  int64_t stateSize() const { return Weighted + shape.vectors; }

  Values attendBlocks(Value begin, Value end, ValueRange state, bool isPartial);
  Values attendBlock(Value start, ValueRange state, bool isPartial);
  Value visibleLanes(Value start);
  Values blockScores(Value keys);
  Value score(Value product, Value keyScales, Value visible);
  Value updateSoftmax(MutableArrayRef<Value> head, Value score, Value visible);
  void addValues(MutableArrayRef<Value> state, ArrayRef<Value> weights,
                 Value values, Value visible);
  Value toI32(Value index) {
    return arith::IndexCastOp::create(e, e.getI32Type(), index);
  }

  Emitter &e;
  AttentionOp op;
  const AttendShape &shape;
  const KVCacheLayout layout;
};

/// state = (lowest, 0, 0) of every head
/// first block of a window: positions before the window do not count
/// whole blocks: all positions count
/// last block: positions after the token's do not count
Values Walk::attend() {
  Values state;
  for (int64_t h = 0; h < shape.together; ++h) {
    state.push_back(e.constant(e.getF32Type(), kLowestScore));
    state.push_back(e.constant(e.getF32Type(), 0.0));
    state.append(shape.vectors, e.constant(e.floats(shape.lanes), 0.0));
  }
  Value end = e.add(e.toIndex(position), 1);
  first = e.index(0);
  if (op.getWindow())
    first = e.sub(
        end, arith::MinUIOp::create(e, end, e.index(int64_t(*op.getWindow()))));
  Value firstWhole = first; // Nothing before the window is read.
  if (op.getWindow()) {
    firstWhole = e.mul(e.div(e.add(first, kLanes - 1), kLanes), kLanes);
    state = attendBlocks(e.mul(e.div(first, kLanes), kLanes), firstWhole, state,
                         true);
  }
  Value whole = e.mul(e.div(end, kLanes), kLanes);
  state = attendBlocks(firstWhole, whole, state, false);
  if (op.getWindow())
    whole = arith::MaxUIOp::create(e, whole, firstWhole);
  return attendBlocks(whole, end, state, true);
}

Values Walk::attendBlocks(Value begin, Value end, ValueRange state,
                          bool isPartial) {
  return e.forLoop(begin, end, kLanes, state,
                   [&](Value start, ValueRange carried) {
                     return attendBlock(start, carried, isPartial);
                   });
}

/// scores = q . K of 16 positions
/// for head: weights = exp(score - maximum), its state moves to that maximum
/// for position: for head: weighted values += weight V
///
/// In a partial block some positions may not be visible yet, or not any more.
/// What the cache holds there is undefined and must not count, not even as 0
/// times NaN.
Values Walk::attendBlock(Value start, ValueRange state, bool isPartial) {
  const Values products = blockScores(e.add(at.keys, e.mul(start, shape.dim)));
  Value keyScales = layout.loadScales(e, cache, at.keyScales, start);
  Value valueScales = layout.loadScales(e, cache, at.valueScales, start);
  Value visible = isPartial ? visibleLanes(start) : Value();
  Values next(state), weights;
  for (int64_t h = 0; h < shape.together; ++h) {
    Value weight =
        updateSoftmax(MutableArrayRef(next).slice(h * stateSize(), stateSize()),
                      score(products[h], keyScales, visible), visible);
    weights.push_back(valueScales ? e.keep(e.mul(weight, valueScales), visible)
                                  : weight);
  }
  addValues(next, weights, e.add(at.values, e.mul(start, shape.dim)), visible);
  return next;
}

/// first <= start + lane <= position
Value Walk::visibleLanes(Value start) {
  Value positions = e.add(e.splat(toI32(start)), lane);
  Value visible = arith::CmpIOp::create(e, arith::CmpIPredicate::sle, positions,
                                        e.splat(position));
  if (op.getWindow())
    visible = arith::AndIOp::create(
        e, visible,
        arith::CmpIOp::create(e, arith::CmpIPredicate::sge, positions,
                              e.splat(toI32(first))));
  return visible;
}

/// for d in steps of `sums`, for k < sums:
///   column = K[d + k] of 16 positions
///   for head: sum[head][k] += q[head][d + k] column
/// scores = sums of each head, added as a tree
Values Walk::blockScores(Value keys) {
  Values init(shape.together * shape.sums, e.constant(e.floats(), 0.0));
  Values partial = e.forLoop(
      e.index(0), e.index(shape.dim), shape.sums, init,
      [&](Value d, ValueRange carried) {
        Values next(carried);
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
  Values scores;
  for (int64_t h = 0; h < shape.together; ++h) {
    Values sums(ArrayRef<Value>(partial).slice(h * shape.sums, shape.sums));
    for (; sums.size() > 1; sums.resize(sums.size() / 2))
      for (size_t k = 0; k < sums.size() / 2; ++k)
        sums[k] = e.add(sums[2 * k], sums[2 * k + 1]);
    scores.push_back(sums[0]);
  }
  return scores;
}

/// q . K times the scales of op and keys, within the soft cap; the lowest score
/// where nothing is visible (null: everywhere).
Value Walk::score(Value product, Value keyScales, Value visible) {
  Value score =
      e.mul(product, e.constant(e.floats(), op.getScale().convertToDouble()));
  if (keyScales)
    score = e.mul(score, keyScales);
  if (op.getSoftCap())
    score = e.softCap(score, op.getSoftCap()->convertToDouble());
  if (visible)
    score = arith::SelectOp::create(e, visible, score,
                                    e.constant(e.floats(), kLowestScore));
  return score;
}

/// maximum' = max(maximum, scores); weights = exp(score - maximum')
/// what the head has summed so far, times exp(maximum - maximum')
Value Walk::updateSoftmax(MutableArrayRef<Value> head, Value score,
                          Value visible) {
  Value max = e.maximum(
      head[Maximum],
      vector::ReductionOp::create(e, vector::CombiningKind::MAXNUMF, score));
  Value weight =
      e.keep(math::ExpOp::create(e, e.sub(score, e.splat(max))), visible);
  Value rescale = math::ExpOp::create(e, e.sub(head[Maximum], max));
  head[Maximum] = max;
  head[Exponentials] =
      e.add(e.mul(head[Exponentials], rescale), e.treeSum(weight));
  Value rescales = e.splat(rescale, shape.lanes);
  for (Value &weighted : head.drop_front(Weighted))
    weighted = e.mul(weighted, rescales);
  return weight;
}

/// for position, for vector of V[position]: weighted[head] += weight V
void Walk::addValues(MutableArrayRef<Value> state, ArrayRef<Value> weights,
                     Value values, Value visible) {
  for (int64_t p = 0; p < kLanes; ++p) {
    Value counts;
    if (visible)
      counts =
          vector::BroadcastOp::create(e, e.vector(e.getI1Type(), shape.lanes),
                                      vector::ExtractOp::create(e, visible, p));
    for (int64_t v = 0; v < shape.vectors; ++v) {
      Value value = e.keep(
          e.loadFloats(cache, e.add(values, p * shape.dim + v * shape.lanes),
                       shape.lanes),
          counts);
      for (int64_t h = 0; h < shape.together; ++h) {
        Value weight =
            e.splat(vector::ExtractOp::create(e, weights[h], p), shape.lanes);
        Value &sum = state[h * stateSize() + Weighted + v];
        sum = e.add(sum, e.mul(weight, value));
      }
    }
  }
}

void Walk::storeResults(ArrayRef<Value> state, Value out, Value to) {
  for (int64_t h = 0; h < shape.together; ++h) {
    ArrayRef<Value> head = state.slice(h * stateSize(), stateSize());
    Value total = e.splat(head[Exponentials], shape.lanes);
    Value at = e.add(to, h * shape.dim);
    for (int64_t v = 0; v < shape.vectors; ++v)
      e.storeVector(e.div(head[Weighted + v], total), out,
                    e.add(at, v * shape.lanes));
  }
}

} // namespace

/// parallel for (token, heads of a walk):
///   for block of 16 visible positions: online softmax (Walk)
///   out[token] = weighted values / sum of exponentials
static void lowerAttend(AttentionOp op, LoopContext &context) {
  const KVCacheLayout layout(op.getCache().getType());
  const int64_t dim = layout.dim();
  const int64_t heads = featuresOf(op.getQuery()) / dim;
  const int64_t group = heads / layout.heads();
  Kernel kernel(
      context, op,
      llvm::formatv("attend_{0}_{1}x{2}", layout.elementName(), heads, dim));
  const Rows query = kernel.rows(op.getQuery());
  const Argument cache = kernel.cache(op.getCache());
  const Rows slots = kernel.rows(op.getSlots());
  const Rows positions = kernel.rows(op.getPositions());
  const Rows out = kernel.rows(op.getResult());
  const Argument contextLength = kernel.context();
  const Argument count = kernel.tokens(op.getQuery());
  const Argument layer = kernel.passed(op.getLayerAttrName());
  const AttendShape shape(dim, group, kernel.target());
  kernel.emit([&](Emitter &e) {
    SmallVector<int32_t> iota(kLanes);
    std::iota(iota.begin(), iota.end(), 0);
    Value lane = arith::ConstantOp::create(
        e, DenseElementsAttr::get(e.ints(), ArrayRef<int32_t>(iota)));
    const int64_t walks = heads / shape.together;
    e.forall(e.mul(count, walks), [&](Value f) {
      Value i = e.div(f, walks);
      Value head = e.mul(e.rem(f, walks), shape.together);
      Value slot = e.toIndex(e.load(slots, i));
      Walk walk(e, op, shape);
      walk.position = e.load(positions, i);
      walk.at = layout.head(e, slot, layer, e.div(head, group), contextLength);
      walk.query = query;
      walk.queryRow = e.add(query.row(e, i), e.mul(head, dim));
      walk.cache = cache;
      walk.lane = lane;
      const Values state = walk.attend();
      walk.storeResults(state, out, e.add(out.row(e, i), e.mul(head, dim)));
    });
  });
}

template <> void lower(AttentionOp op, LoopContext &context) {
  lowerCacheWrite(op, context);
  lowerAttend(op, context);
}

} // namespace fairy2
