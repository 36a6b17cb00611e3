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
#include "llvm/Support/xxhash.h"

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

  int64_t floatsPerPosition() const {
    return 2 * headFloats() * type.getLayers();
  }
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
  const int64_t half = int64_t(op.getInverseFrequencies().size());
  const int64_t positions = op.getMaxPositions();
  int64_t fine = 1;
  while (fine * fine < positions)
    fine *= 2;
  const int64_t coarse = (positions + fine - 1) / fine;
  // Long frequencies follow the others in both tables.
  SmallVector<ArrayRef<float>> sets = {op.getInverseFrequencies()};
  if (op.getLongFrequencies())
    sets.push_back(*op.getLongFrequencies());
  auto table = [&](int64_t count, int64_t step, double magnitude) {
    std::vector<double> values;
    for (ArrayRef<float> frequencies : sets)
      for (int64_t p = 0; p < count; ++p)
        for (double (*f)(double) :
             {(double (*)(double))std::cos, (double (*)(double))std::sin})
          for (float frequency : frequencies)
            values.push_back(magnitude *
                             f(double(p * step) * double(frequency)));
    return values;
  };
  const Buffer &out = context.buffer(op.getResult());
  ModuleOp module = op->getParentOfType<ModuleOp>();
  // A model may have several tables; equal ones share constants and kernel.
  std::string name;
  llvm::raw_string_ostream(name) << op->getAttrDictionary();
  name = llvm::formatv("{0}_{1:x}", 2 * half, llvm::xxh3_64bits(name));
  context.call(
      op.getLoc(), llvm::formatv("rope_table_{0}_{1}", name, out.stride),
      {context.view(op.getPositions()), context.view(op.getResult()),
       context.tokenCount(op.getPositions()), context.arguments.context},
      [&](Emitter &e, ValueRange a) {
        Value coarseTable = constantTable(
            e, module, "rope_coarse_" + name,
            table(coarse, fine, op.getMagnitude().convertToFloat()));
        Value fineTable =
            constantTable(e, module, "rope_fine_" + name, table(fine, 1, 1));
        auto rowOf = [&](Value index, int64_t rows) {
          if (op.getLongAfter()) {
            Value isLong =
                arith::CmpIOp::create(e, arith::CmpIPredicate::ugt, a[3],
                                      e.index(int64_t(*op.getLongAfter())));
            index = e.add(index, arith::SelectOp::create(
                                     e, isLong, e.index(rows), e.index(0)));
          }
          return e.mul(index, 2 * half);
        };
        e.forall(a[2], [&](Value i) {
          Value position = e.toIndex(e.load(a[0], i));
          Value coarseRow = rowOf(e.div(position, fine), coarse);
          Value fineRow = rowOf(e.rem(position, fine), fine);
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
  const int64_t heads = int64_t(op.getHeads());
  const int64_t dim = featuresOf(op.getInput()) / heads;
  const int64_t turned = featuresOf(op.getTable()), half = turned / 2;
  const int64_t lanes = dividingLanes(half);
  context.call(
      op.getLoc(),
      llvm::formatv("rope_{0}x{1}_{2}_{3}_{4}_{5}", heads, dim, turned,
                    in.stride, table.stride, out.stride),
      {context.view(op.getInput()), context.view(op.getTable()),
       context.view(op.getResult()), context.tokenCount(op.getInput())},
      [&](Emitter &e, ValueRange a) {
        e.forall(e.mul(a[3], heads), [&](Value f) {
          Value i = e.div(f, heads), head = e.mul(e.rem(f, heads), dim);
          Value from = e.add(e.mul(i, in.stride), head);
          Value to = e.add(e.mul(i, out.stride), head);
          Value angles = e.mul(i, table.stride);
          e.forLoop(e.index(0), e.index(half), lanes, {},
                    [&](Value j, ValueRange) -> SmallVector<Value> {
                      auto load = [&](Value memref, Value base, int64_t shift) {
                        return e.loadVector(
                            memref, e.add(e.add(base, j), shift), lanes);
                      };
                      Value x1 = load(a[0], from, 0),
                            x2 = load(a[0], from, half);
                      Value cos = load(a[1], angles, 0),
                            sin = load(a[1], angles, half);
                      e.storeVector(e.sub(e.mul(x1, cos), e.mul(x2, sin)), a[2],
                                    e.add(to, j));
                      e.storeVector(e.add(e.mul(x2, cos), e.mul(x1, sin)), a[2],
                                    e.add(e.add(to, j), half));
                      return {};
                    });
          e.forLoop(e.index(turned), e.index(dim), [&](Value j) {
            e.store(e.load(a[0], e.add(from, j)), a[2], e.add(to, j));
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
          Value keys = e.add(layout.keys(e, base, head, a[5]),
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
            e.store(e.load(a[1], e.add(fromValue, d)), a[2], e.add(values, d));
          });
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
              e.loadVector(cache, e.add(keys, e.mul(at, kLanes)), kLanes);
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
  const CacheLayout layout{op.getCache().getType()};
  const int64_t heads = featuresOf(op.getQuery()) / layout.type.getDim();
  const int64_t group = heads / layout.type.getHeads();
  const AttendShape shape(layout.type.getDim(), group, context.target);
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
      llvm::formatv("attend_{0}x{1}_{2}_{3}_{4}_{5}_window{6}_cap{7}", heads,
                    dim, layout.type.getHeads(), query.stride, out.stride,
                    bitsOf(op.getScale()), window.value_or(0),
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
          Value base = layout.layerBase(e, slot, a[7], a[5]);
          Value kvHead = e.div(head, group);
          Value keys = layout.keys(e, base, kvHead, a[5]);
          Value values = layout.values(e, base, kvHead, a[5]);
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
                e, shape, a[0], row, a[1], e.add(keys, e.mul(start, dim)));
            Value visible;
            if (isPartial) {
              Value at = e.add(
                  e.splat(arith::IndexCastOp::create(e, e.getI32Type(), start)),
                  lane);
              visible = arith::CmpIOp::create(e, arith::CmpIPredicate::sle, at,
                                              e.splat(position));
              if (window)
                visible = arith::AndIOp::create(
                    e, visible,
                    arith::CmpIOp::create(e, arith::CmpIPredicate::sge, at,
                                          e.splat(arith::IndexCastOp::create(
                                              e, e.getI32Type(), first))));
            }
            SmallVector<Value> next(carried), weights;
            for (int64_t h = 0; h < shape.together; ++h) {
              Value *mine = &next[h * state];
              Value score = e.mul(scores[h], e.constant(e.floats(), scale));
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
              weights.push_back(weight);
            }
            Value blockValues = e.add(values, e.mul(start, dim));
            for (int64_t p = 0; p < kLanes; ++p) {
              Value counts;
              if (isPartial)
                counts = vector::BroadcastOp::create(
                    e, e.vector(e.getI1Type(), lanes),
                    vector::ExtractOp::create(e, visible, p));
              for (int64_t v = 0; v < shape.vectors; ++v) {
                Value value = e.keep(
                    e.loadVector(a[1], e.add(blockValues, p * dim + v * lanes),
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
