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

/// Positions of a segment: those that share one maximum.
constexpr int64_t kSegment = 256;

/// One walk: the heads that share it, of one token, and what they see.
///
/// The heads of a walk go through the cache in segments, which begin at
/// multiples of 256 positions. Of each they find the maximum of the scores, the
/// sum of the exponentials and the weighted values, from nothing; then they
/// merge it with what came before (online softmax, Milakov and Gimelshein,
/// arXiv 1805.02867). The order of all sums follows from the positions alone,
/// whatever the batch, and segments can be walked at the same time where many
/// threads are at hand.
class Walk {
public:
  /// `scratch` holds a segment's scores of every head of the walk.
  Walk(Emitter &e, AttentionOp op, const AttendShape &shape, Value scratch)
      : e(e), op(op), shape(shape), layout(op.getCache().getType()),
        scratch(scratch) {}

  Value query, queryRow; ///< where the first head's query lies
  Value cache;
  KVCacheLayout::Head at; ///< of the key head
  Value lane;             ///< 0 .. 15
  Value position;         ///< the token's, and the last visible one

  /// Walks all visible segments; returns the state of every head.
  Values attend();
  /// Stores what the heads found at out[to], one after the other: weighted
  /// values over the sum of exponentials.
  void storeResults(ArrayRef<Value> state, Value out, Value to);

private:
  /// State of a head: maximum, sum of exponentials, weighted values.
  enum { Maximum, Exponentials, Weighted };
  int64_t stateSize() const { return Weighted + shape.vectors; }

  /// Visible positions [first, end) of the segment that begins at `start`.
  struct Segment {
    Value start, first, end;
  };

  Values attendSegment(const Segment &segment);
  Values highestScores(const Segment &segment);
  Values sumExponentials(const Segment &segment, ArrayRef<Value> highest);
  Values sumValues(const Segment &segment);
  Values merge(Value isFirst, ValueRange state, ArrayRef<Value> found);

  /// body(first position, visible lanes, carried) of the blocks of a segment.
  Values
  forBlocks(const Segment &segment, ArrayRef<Value> init,
            function_ref<Values(Value block, Value visible, ValueRange carried)>
                body);
  Values blockScores(Value keys);
  Value score(Value product, Value keyScales, Value visible);
  /// Where a position's score is kept.
  Value scoreAt(const Segment &segment, Value position, int64_t head) {
    return e.add(e.sub(position, segment.start), head * kSegment);
  }
  Value toI32(Value index) {
    return arith::IndexCastOp::create(e, e.getI32Type(), index);
  }

  Emitter &e;
  AttentionOp op;
  const AttendShape &shape;
  const KVCacheLayout layout;
  Value scratch;
};

/// state = (lowest, 0, 0) of every head
/// for segment with visible positions:
///   state = state merged with what the segment holds
Values Walk::attend() {
  Values state;
  for (int64_t h = 0; h < shape.together; ++h) {
    state.push_back(e.constant(e.getF32Type(), kLowestScore));
    state.push_back(e.constant(e.getF32Type(), 0.0));
    state.append(shape.vectors, e.constant(e.floats(shape.lanes), 0.0));
  }
  Value end = e.add(e.toIndex(position), 1);
  Value first = e.index(0);
  if (op.getWindow())
    first = e.sub(
        end, arith::MinUIOp::create(e, end, e.index(int64_t(*op.getWindow()))));
  Value begin = e.mul(e.div(first, kSegment), kSegment);
  return e.forLoop(
      begin, end, kSegment, state, [&](Value start, ValueRange carried) {
        const Values found = attendSegment(
            {start, arith::MaxUIOp::create(e, start, first),
             arith::MinUIOp::create(e, e.add(start, kSegment), end)});
        Value isFirst =
            arith::CmpIOp::create(e, arith::CmpIPredicate::eq, start, begin);
        return merge(isFirst, carried, found);
      });
}

/// weights = exp(score - highest score); their sum; their sum times V
Values Walk::attendSegment(const Segment &segment) {
  const Values highest = highestScores(segment);
  const Values exponentials = sumExponentials(segment, highest);
  const Values weighted = sumValues(segment);
  Values state;
  for (int64_t h = 0; h < shape.together; ++h) {
    state.push_back(highest[h]);
    state.push_back(exponentials[h]);
    llvm::append_range(
        state, ArrayRef(weighted).slice(h * shape.vectors, shape.vectors));
  }
  return state;
}

/// Some positions of the first and the last block may not be visible. What the
/// cache holds there is undefined and must not count, not even as 0 times NaN.
Values Walk::forBlocks(
    const Segment &segment, ArrayRef<Value> init,
    function_ref<Values(Value block, Value visible, ValueRange carried)> body) {
  Value begin = e.mul(e.div(segment.first, kLanes), kLanes);
  return e.forLoop(
      begin, segment.end, kLanes, init, [&](Value block, ValueRange carried) {
        Value positions = e.add(e.splat(toI32(block)), lane);
        auto compare = [&](arith::CmpIPredicate predicate, Value bound) {
          return arith::CmpIOp::create(e, predicate, positions,
                                       e.splat(toI32(bound)));
        };
        Value visible = compare(arith::CmpIPredicate::slt, segment.end);
        if (op.getWindow())
          visible = arith::AndIOp::create(
              e, visible, compare(arith::CmpIPredicate::sge, segment.first));
        return body(block, visible, carried);
      });
}

/// for block, for head: scratch = score; maximum = max(maximum, score)
Values Walk::highestScores(const Segment &segment) {
  const Values lowest(shape.together, e.constant(e.floats(), kLowestScore));
  Values highest = forBlocks(
      segment, lowest, [&](Value block, Value visible, ValueRange carried) {
        const Values products =
            blockScores(e.add(at.keys, e.mul(block, shape.dim)));
        Value keyScales = layout.loadScales(e, cache, at.keyScales, block);
        Values next;
        for (int64_t h = 0; h < shape.together; ++h) {
          Value scores = score(products[h], keyScales, visible);
          e.storeVector(scores, scratch, scoreAt(segment, block, h), 64);
          next.push_back(e.maximum(carried[h], scores));
        }
        return next;
      });
  for (Value &head : highest)
    head = vector::ReductionOp::create(e, vector::CombiningKind::MAXNUMF, head);
  return highest;
}

/// for block, for head: weight = exp(score - maximum); sum += weight;
///   scratch = weight, times the values' scale
Values Walk::sumExponentials(const Segment &segment, ArrayRef<Value> highest) {
  const Values zeros(shape.together, e.constant(e.floats(), 0.0));
  Values sums = forBlocks(
      segment, zeros, [&](Value block, Value visible, ValueRange carried) {
        Value valueScales = layout.loadScales(e, cache, at.valueScales, block);
        Values next;
        for (int64_t h = 0; h < shape.together; ++h) {
          Value place = scoreAt(segment, block, h);
          Value scores = e.loadVector(scratch, place, kLanes, 64);
          Value weight =
              e.keep(math::ExpOp::create(e, e.sub(scores, e.splat(highest[h]))),
                     visible);
          next.push_back(e.add(carried[h], weight));
          // Values are summed over visible positions alone.
          e.storeVector(valueScales ? e.mul(weight, valueScales) : weight,
                        scratch, place, 64);
        }
        return next;
      });
  for (Value &head : sums)
    head = e.treeSum(head);
  return sums;
}

/// for position, for vector of V[position], for head: sum += weight V
Values Walk::sumValues(const Segment &segment) {
  constexpr int64_t kUnrolled = 8;
  auto addPositions = [&](Value from, ValueRange carried, int64_t count) {
    Values sums(carried);
    for (int64_t p = 0; p < count; ++p) {
      Value position = e.add(from, p);
      Value row = e.add(at.values, e.mul(position, shape.dim));
      Values weights;
      for (int64_t h = 0; h < shape.together; ++h)
        weights.push_back(e.splat(
            e.load(scratch, scoreAt(segment, position, h)), shape.lanes));
      for (int64_t v = 0; v < shape.vectors; ++v) {
        Value value =
            e.loadFloats(cache, e.add(row, v * shape.lanes), shape.lanes);
        for (int64_t h = 0; h < shape.together; ++h) {
          Value &sum = sums[h * shape.vectors + v];
          sum = e.add(sum, e.mul(weights[h], value));
        }
      }
    }
    return sums;
  };
  auto walk = [&](Value begin, Value end, int64_t step, ValueRange sums) {
    return e.forLoop(begin, end, step, sums,
                     [&](Value from, ValueRange carried) {
                       return addPositions(from, carried, step);
                     });
  };
  const Values zeros(shape.together * shape.vectors,
                     e.constant(e.floats(shape.lanes), 0.0));
  Value count = e.sub(segment.end, segment.first);
  Value rest = e.add(segment.first, e.mul(e.div(count, kUnrolled), kUnrolled));
  return walk(rest, segment.end, 1,
              walk(segment.first, rest, kUnrolled, zeros));
}

/// maximum' = max(maximum, the segment's)
/// both sides' sums, times exp(their maximum - maximum'), are added
///
/// The first segment is taken as it is.
Values Walk::merge(Value isFirst, ValueRange state, ArrayRef<Value> found) {
  auto branch = scf::IfOp::create(e, TypeRange(state), isFirst,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(e);
  e.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(e, found);
  e.setInsertionPointToStart(branch.elseBlock());
  Values merged;
  for (int64_t h = 0; h < shape.together; ++h) {
    const auto before = state.slice(h * stateSize(), stateSize());
    const auto after = found.slice(h * stateSize(), stateSize());
    Value maximum = e.maximum(before[Maximum], after[Maximum]);
    auto rescale = [&](Value old) -> Value {
      return math::ExpOp::create(e, e.sub(old, maximum));
    };
    Value left = rescale(before[Maximum]), right = rescale(after[Maximum]);
    merged.push_back(maximum);
    for (int64_t i = Exponentials; i < stateSize(); ++i) {
      auto scaled = [&](Value sum, Value factor) {
        return e.mul(sum, i < Weighted ? factor : e.splat(factor, shape.lanes));
      };
      merged.push_back(e.add(scaled(before[i], left), scaled(after[i], right)));
    }
  }
  scf::YieldOp::create(e, merged);
  return Values(branch.getResults());
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
/// where nothing is visible.
Value Walk::score(Value product, Value keyScales, Value visible) {
  Value score =
      e.mul(product, e.constant(e.floats(), op.getScale().convertToDouble()));
  if (keyScales)
    score = e.mul(score, keyScales);
  if (op.getSoftCap())
    score = e.softCap(score, op.getSoftCap()->convertToDouble());
  return arith::SelectOp::create(e, visible, score,
                                 e.constant(e.floats(), kLowestScore));
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
///   for segment of 256 positions: softmax of what is visible (Walk)
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
    Value scratch = memref::AllocaOp::create(
        e, MemRefType::get({shape.together * kSegment}, e.getF32Type()),
        e.getI64IntegerAttr(64));
    const int64_t walks = heads / shape.together;
    e.forall(e.mul(count, walks), [&](Value f) {
      Value i = e.div(f, walks);
      Value head = e.mul(e.rem(f, walks), shape.together);
      Value slot = e.toIndex(e.load(slots, i));
      Walk walk(e, op, shape, scratch);
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
