// SPDX-License-Identifier: Apache-2.0
//
// The quad form of the look-up: one 64-byte register holds the four tables of a
// block, and dot products of bytes add what is found into 32-bit lanes (vpermb,
// vpdpbusd). The one form that works on several tokens at once.
#include "dialect/Fairy2LoopOps.h"
#include "passes/cpu/loops/PhaseLookup.h"

using namespace mlir;

namespace fairy2 {
namespace {

/// Tables of a panel of blocks, which stay in L1 while all sets pass by: 32 KiB
/// are the smallest L1 of CPUs that have this form.
constexpr int64_t kPanelBytes = 32768;
/// Sums that are enough to hide the latency of an addition: a vpdpbusd takes 4
/// cycles, and two may start in each.
constexpr int64_t kIndependentSums = 8;
/// High tables hold 64 (T / 256): see PhaseLookup.h.
constexpr int64_t kHighWeight = 4;

/// The two sign planes of a chunk, four groups of a row side by side (a chunk
/// is [group][row]; dot products want [row][group]).
std::array<Value, 2> quadPlanes(Emitter &e, const PhaseInput &input,
                                Value chunk) {
  SmallVector<int64_t> transpose;
  for (int64_t row = 0; row < SignPlaneLayout::kTileRows; ++row)
    for (int64_t group = 0; group < 4; ++group)
      transpose.push_back(group * SignPlaneLayout::kTileRows + row);
  Value codes = e.loadVector(input.planes, chunk, kChunk, 64);
  Value rows = vector::ShuffleOp::create(e, codes, codes, transpose);
  return {lowNibbles(e, rows), highNibbles(e, rows)};
}

/// The four tables of x_re and of x_im of a block.
std::array<Value, 2> quadTables(Emitter &e, Value table, Value at) {
  return {e.loadVector(table, at, kChunk, 64),
          e.loadVector(table, e.add(at, kChunk), kChunk, 64)};
}

/// Adds one chunk to the sums of its set, one row per 32-bit lane.
void addQuadChunk(Emitter &e, const PhaseInput &input, ArrayRef<Value> tables,
                  ArrayRef<Value> planes, int64_t factor, ValueRange sums,
                  Values &next) {
  for (int plane = 0; plane < 2; ++plane)
    for (int part = 0; part < 2; ++part) {
      const int k = sumIndex(input.pack, plane, part);
      if (k < 0)
        continue;
      Value found = TableLookupOp::create(e, LookupLanes::Quad, tables[part],
                                          planes[plane]);
      next.push_back(Sum4AccumulateOp::create(e, sums[k], found, factor));
    }
}

/// for block: planes = chunk of the set; for token:
///   sums[token] += look-ups of the planes in the token's low tables
///
/// The blocks [begin, end) of a set for several tokens: [token][sum].
SmallVector<Value> addQuadBlocks(Emitter &e, const PhaseInput &input,
                                 Value first, int64_t tokens, Value set,
                                 Value begin, Value end, ValueRange sums) {
  const int64_t perSet = sumsPerSet(input.pack);
  return e.forLoop(begin, end, 1, sums, [&](Value block, ValueRange carried) {
    Value chunk = chunkAt(e, input, set, block);
    prefetch(e, input, chunk);
    const auto planes = quadPlanes(e, input, chunk);
    SmallVector<Value> next;
    for (int64_t t = 0; t < tokens; ++t)
      addQuadChunk(e, input,
                   quadTables(e, input.tables.low,
                              tableAt(e, input, e.add(first, t), block)),
                   planes, 1, carried.slice(t * perSet, perSet), next);
    return next;
  });
}

/// scratch = 0
/// for panel of blocks: for set:
///   sums = scratch[set]; sums += the panel's blocks, for all tokens; put back
/// for token: for wide block of the row: for set:
///   scratch[set][token] += look-ups in high tables, times 4
///
/// Several tokens of a matrix with scales that all columns share, one set after
/// the other: the work on a chunk's index is shared by the tokens. The tables
/// of a panel stay in L1 while all sets pass by; between panels the sums wait
/// in `scratch`, [set][token][sum][16].
void quadBatchSums(Emitter &e, const PhaseInput &input, Value first,
                   int64_t tokens, Value scratch) {
  const int64_t blocks = input.pack.matrix(0).blocks();
  const int64_t perSet = sumsPerSet(input.pack);
  const int64_t panel = kPanelBytes / (tokens * kTableBytes);
  auto sumAt = [&](Value set, int64_t token) {
    return e.mul(e.add(e.mul(set, tokens), token), perSet * kLanes);
  };
  auto loadSums = [&](Value set, int64_t token, int64_t count) {
    SmallVector<Value> sums;
    for (int64_t k = 0; k < count * perSet; ++k)
      sums.push_back(e.loadVector(scratch, e.add(sumAt(set, token), k * kLanes),
                                  kLanes, 64));
    return sums;
  };
  auto storeSums = [&](ValueRange sums, Value set, int64_t token) {
    for (auto [k, sum] : llvm::enumerate(sums))
      e.storeVector(sum, scratch, e.add(sumAt(set, token), int64_t(k) * kLanes),
                    64);
  };
  Value sets = e.index(input.pack.sets());
  Value zero = e.constant(e.ints(), 0);
  e.forLoop(e.index(0), sets, [&](Value set) {
    storeSums(Values(tokens * perSet, zero), set, 0);
  });
  e.forLoop(e.index(0), e.index(blocks), panel, {},
            [&](Value start, ValueRange) -> SmallVector<Value> {
              Value end = arith::MinUIOp::create(e, e.add(start, panel),
                                                 e.index(blocks));
              e.forLoop(e.index(0), sets, [&](Value set) {
                storeSums(addQuadBlocks(e, input, first, tokens, set, start,
                                        end, loadSums(set, 0, tokens)),
                          set, 0);
              });
              return {};
            });
  for (int64_t t = 0; t < tokens; ++t) {
    Value token = e.add(first, t);
    const auto [begin, end] =
        wideRange(e, input, token, {e.index(0), input.pack.columns});
    e.forLoop(begin, end, [&](Value i) {
      Value block = wideBlock(e, input, token, i);
      const auto tables =
          quadTables(e, input.tables.high, tableAt(e, input, token, block));
      e.forLoop(e.index(0), sets, [&](Value set) {
        SmallVector<Value> next;
        addQuadChunk(e, input, tables,
                     quadPlanes(e, input, chunkAt(e, input, set, block)),
                     kHighWeight, loadSums(set, t, 1), next);
        storeSums(next, set, t);
      });
    });
  }
}

/// The exact sums of a set within a span for each token: its blocks for all
/// tokens, then each token's wide ones.
SmallVector<Values> quadSpanSums(Emitter &e, const PhaseInput &input,
                                 Value first, int64_t tokens, Value set,
                                 const Span &span) {
  const int64_t perSet = sumsPerSet(input.pack);
  Value begin = firstBlock(e, span);
  const SmallVector<Value> sums = addQuadBlocks(
      e, input, first, tokens, set, begin, e.add(begin, span.blocks()),
      Values(tokens * perSet, e.constant(e.ints(), 0)));
  SmallVector<Values> result;
  for (int64_t t = 0; t < tokens; ++t) {
    Value token = e.add(first, t);
    const auto [wideBegin, wideEnd] = wideRange(e, input, token, span);
    const SmallVector<Value> all = e.forLoop(
        wideBegin, wideEnd, 1, ValueRange(sums).slice(t * perSet, perSet),
        [&](Value i, ValueRange partial) {
          Value block = wideBlock(e, input, token, i);
          SmallVector<Value> added;
          addQuadChunk(
              e, input,
              quadTables(e, input.tables.high, tableAt(e, input, token, block)),
              quadPlanes(e, input, chunkAt(e, input, set, block)), kHighWeight,
              partial, added);
          return added;
        });
    result.push_back(exactSums(e, input, token, span, all));
  }
  return result;
}

/// body(set, is W) for all sets, in a loop over the stages.
void forSets(Emitter &e, const PhaseInput &input,
             function_ref<void(Value, bool)> body) {
  e.forLoop(e.index(0), e.index(input.pack.sets() / 2), [&](Value stage) {
    body(e.mul(stage, 2), false);
    body(e.add(e.mul(stage, 2), 1), true);
  });
}

/// body(first span, past the last one, their columns) for all panels of spans.
void forPanels(Emitter &e, const PhaseInput &input, int64_t tokens,
               function_ref<void(Value, Value, int64_t)> body) {
  const Spans spans(input.pack);
  Value whole = e.index(spans.whole());
  const int64_t panel = panelSpans(tokens);
  e.forLoop(e.index(0), whole, panel, {},
            [&](Value start, ValueRange) -> SmallVector<Value> {
              body(start, arith::MinUIOp::create(e, e.add(start, panel), whole),
                   kScaleTile);
              return {};
            });
  if (spans.rest())
    body(whole, e.index(spans.whole() + 1), spans.rest());
}

/// What waits in scratch for all tokens: [group][token][re, im][16].
struct WaitingTerms {
  Emitter &e;
  Value scratch;
  int64_t count; ///< vectors of a group

  Value placeOf(Value group, int64_t k) const {
    return e.add(e.mul(group, count * kLanes), k * kLanes);
  }
  Values load(Value group) const {
    Values terms;
    for (int64_t k = 0; k < count; ++k)
      terms.push_back(e.loadVector(scratch, placeOf(group, k), kLanes, 64));
    return terms;
  }
  void store(ValueRange terms, Value group) const {
    for (auto [k, term] : llvm::enumerate(terms))
      e.storeVector(term, scratch, placeOf(group, int64_t(k)), 64);
  }
};

/// scratch = 0
/// for panel of spans: for set:
///   terms = scratch[set]
///   for span: for token: terms[token] += scale * exact sums
///   put back
///
/// Several tokens of a matrix with scales per tile: as quadBatchSums, but what
/// waits in `scratch` is the terms of every set.
void quadBatchTerms(Emitter &e, const PhaseInput &input, Value first,
                    int64_t tokens, Value scratch) {
  const int64_t parts = input.pack.parts();
  const WaitingTerms waiting{e, scratch, parts * tokens};
  forSets(e, input, [&](Value set, bool) {
    waiting.store(Values(parts * tokens, e.constant(e.floats(), 0.0)), set);
  });
  forPanels(e, input, tokens, [&](Value begin, Value end, int64_t columns) {
    forSets(e, input, [&](Value set, bool isConjugated) {
      const Values terms = e.forLoop(
          begin, end, 1, waiting.load(set),
          [&](Value index, ValueRange carried) {
            const Span span{index, columns};
            const SmallVector<Values> sums =
                quadSpanSums(e, input, first, tokens, set, span);
            Values next;
            for (int64_t t = 0; t < tokens; ++t)
              llvm::append_range(
                  next, addTerm(e, input, set, isConjugated, span, sums[t],
                                carried.slice(t * parts, parts)));
            return next;
          });
      waiting.store(terms, set);
    });
  });
}

/// y = 0
/// for panel of spans:
///   terms[span] = 0
///   for set: for span: for token: terms[span][token] += integer * exact sums
///   for span: y += terms[span] * unit
///
/// The same on the int8 grid. In `scratch`, of int32, wait the bits of y and
/// behind them the terms of a panel's spans.
void quadBatchOnGrid(Emitter &e, const PhaseInput &input, Value first,
                     int64_t tokens, Value scratch) {
  const int64_t parts = input.pack.parts(), count = parts * tokens;
  const WaitingTerms waiting{e, scratch, count};
  const Values zero(count, e.constant(e.ints(), 0));
  waiting.store(zero, e.index(0)); // Also the bits of 0.0.
  forPanels(e, input, tokens, [&](Value begin, Value end, int64_t columns) {
    auto forSpansOfPanel = [&](function_ref<void(const Span &, Value)> body) {
      e.forLoop(begin, end, [&](Value index) {
        body({index, columns}, e.add(e.sub(index, begin), 1));
      });
    };
    forSpansOfPanel(
        [&](const Span &, Value place) { waiting.store(zero, place); });
    forSets(e, input, [&](Value set, bool isConjugated) {
      forSpansOfPanel([&](const Span &span, Value place) {
        const SmallVector<Values> sums =
            quadSpanSums(e, input, first, tokens, set, span);
        const Values terms = waiting.load(place);
        Values next;
        for (int64_t t = 0; t < tokens; ++t)
          llvm::append_range(
              next, addTerm(e, input, set, isConjugated, span, sums[t],
                            ValueRange(terms).slice(t * parts, parts)));
        waiting.store(next, place);
      });
    });
    forSpansOfPanel([&](const Span &span, Value place) {
      const Values values = offGrid(e, input, span, waiting.load(place));
      Values next;
      for (auto [bits, value] : llvm::zip(waiting.load(e.index(0)), values))
        next.push_back(
            e.bitcast(e.ints(), e.add(e.bitcast(e.floats(), bits), value)));
      waiting.store(next, e.index(0));
    });
  });
}

/// Sets that one walk over the blocks adds side by side: 4 of 4 sums are half
/// of the 32 vector registers of AVX-512.
constexpr int64_t kSetsAtOnce = 4;
struct SetGroup {
  int64_t first, count;
};

/// Adds one block of the group's sets for one token: [set][sum].
void addBlock(Emitter &e, const PhaseInput &input, Value token, Value block,
              const SetGroup &group, bool isHigh, ValueRange sums,
              Values &next) {
  const int64_t perSet = sumsPerSet(input.pack);
  const auto tables =
      quadTables(e, isHigh ? input.tables.high : input.tables.low,
                 tableAt(e, input, token, block));
  for (int64_t s = 0; s < group.count; ++s) {
    Value chunk = chunkAt(e, input, e.index(group.first + s), block);
    if (!isHigh)
      prefetch(e, input, chunk);
    addQuadChunk(e, input, tables, quadPlanes(e, input, chunk),
                 isHigh ? kHighWeight : 1, sums.slice(s * perSet, perSet),
                 next);
  }
}

Values addGroupBlocks(Emitter &e, const PhaseInput &input, Value token,
                      const SetGroup &group, Value begin, Value end,
                      ValueRange sums) {
  return e.forLoop(begin, end, 1, sums, [&](Value block, ValueRange carried) {
    Values next;
    addBlock(e, input, token, block, group, /*isHigh=*/false, carried, next);
    return next;
  });
}

/// The blocks of a span of a pack whose sets all fit into one group. Sums that
/// wait for each other leave the adders idle, so a few sets are added for
/// several blocks side by side.
Values addBlocksAside(Emitter &e, const PhaseInput &input, Value token,
                      const Span &span, ValueRange zero) {
  const SetGroup all{0, input.pack.sets()};
  const int64_t width = int64_t(zero.size());
  const int64_t aside = std::max<int64_t>(1, kIndependentSums / width);
  const int64_t whole = span.blocks() / aside * aside;
  Value begin = firstBlock(e, span), middle = e.add(begin, whole);
  Values many(aside * width, zero.front());
  many = e.forLoop(
      begin, middle, aside, many, [&](Value block, ValueRange carried) {
        Values next;
        for (int64_t i = 0; i < aside; ++i)
          addBlock(e, input, token, e.add(block, i), all,
                   /*isHigh=*/false, carried.slice(i * width, width), next);
        return next;
      });
  Values sums(ArrayRef(many).take_front(width));
  for (int64_t i = width; i < aside * width; ++i)
    sums[i % width] = e.add(sums[i % width], many[i]);
  if (whole == span.blocks())
    return sums;
  return addGroupBlocks(e, input, token, all, middle,
                        e.add(begin, span.blocks()), sums);
}

} // namespace

/// for panel of blocks: for group of up to 4 sets: for block of the panel:
///   tables = low tables of the block
///   for set of the group: sums[set] += look-ups of its chunk
/// for wide block of the span: the same from high tables, times 4
///
/// One group needs no panels.
Values quadSums(Emitter &e, const PhaseInput &input, Value token,
                const Span &span) {
  const int64_t perSet = sumsPerSet(input.pack), sets = input.pack.sets();
  Value begin = firstBlock(e, span), end = e.add(begin, span.blocks());
  Values sums(sets * perSet, e.constant(e.ints(), 0));
  if (sets <= kSetsAtOnce) {
    sums = addBlocksAside(e, input, token, span, sums);
  } else {
    const int64_t panel = panelBlocks(input.pack);
    sums = e.forLoop(
        begin, end, panel, sums, [&](Value start, ValueRange carried) {
          Value stop = arith::MinUIOp::create(e, e.add(start, panel), end);
          Values next;
          for (int64_t set = 0; set < sets; set += kSetsAtOnce) {
            const SetGroup group{set,
                                 std::min<int64_t>(kSetsAtOnce, sets - set)};
            llvm::append_range(
                next, addGroupBlocks(
                          e, input, token, group, start, stop,
                          carried.slice(set * perSet, group.count * perSet)));
          }
          return next;
        });
  }
  const auto [wideBegin, wideEnd] = wideRange(e, input, token, span);
  return e.forLoop(
      wideBegin, wideEnd, 1, sums, [&](Value i, ValueRange carried) {
        Values next;
        addBlock(e, input, token, wideBlock(e, input, token, i), {0, sets},
                 /*isHigh=*/true, carried, next);
        return next;
      });
}

int64_t panelSpans(int64_t tokens) {
  return kPanelBytes / (tokens * kTableBytes * (kScaleTile / kBlock));
}

/// y of number `t` of the tokens whose sums, terms or y wait in scratch:
///   for set, from the first to the last: y += its term
static Values waitingToken(Emitter &e, const PhaseInput &input, Value t,
                           Value token, int64_t tokens, Value scratch) {
  const SignPlanePack &pack = input.pack;
  const bool isTiled = pack.isTiled();
  const int64_t values = isTiled ? pack.parts() : sumsPerSet(pack);
  auto load = [&](int64_t set) {
    Value at = e.mul(e.add(t, set * tokens), values * kLanes);
    Values loaded;
    for (int64_t k = 0; k < values; ++k)
      loaded.push_back(
          e.loadVector(scratch, e.add(at, k * kLanes), kLanes, 64));
    return loaded;
  };
  if (isTiled && pack.isOnGrid())
    return llvm::map_to_vector(
        load(0), [&](Value bits) { return e.bitcast(e.floats(), bits); });
  const Span all{e.index(0), pack.columns};
  Values y = noTerms(e, input, e.constant(e.ints(), 0));
  for (int64_t set = 0; set < pack.sets(); ++set) {
    const Values loaded = load(set);
    if (!isTiled)
      y = addTerm(e, input, e.index(set), isConjugated(set), all,
                  exactSums(e, input, token, all, loaded), y);
    else
      for (auto [sum, term] : llvm::zip(y, loaded))
        sum = e.add(sum, term);
  }
  return pack.isOnGrid() ? offGrid(e, input, all, y) : y;
}

/// scratch = sums or terms of all tokens, panel after panel
/// for token: body(y)
void forEachTokenOfBatch(Emitter &e, const PhaseInput &input, Value first,
                         int64_t tokens, Value scratch,
                         function_ref<void(Value, Values)> body) {
  if (!input.pack.isTiled())
    quadBatchSums(e, input, first, tokens, scratch);
  else if (input.pack.isOnGrid())
    quadBatchOnGrid(e, input, first, tokens, scratch);
  else
    quadBatchTerms(e, input, first, tokens, scratch);
  e.forLoop(e.index(0), e.index(tokens), [&](Value t) {
    Value token = e.add(first, t);
    body(token, waitingToken(e, input, t, token, tokens, scratch));
  });
}

} // namespace fairy2
