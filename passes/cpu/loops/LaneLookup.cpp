// SPDX-License-Identifier: Apache-2.0
//
// The lane form of the look-up: one table per 16 bytes (pshufb, tbl), sums of
// bytes in 16-bit lanes.
#include "dialect/Fairy2LoopOps.h"
#include "passes/cpu/loops/PhaseLookup.h"

using namespace mlir;

namespace fairy2 {
namespace {

/// for piece of the chunk that one look-up takes:
///   for plane of its codes, for half of x:
///     found = the table entries that the nibbles name
///     even += found as 16-bit lanes, odd += their high bytes
///
/// Adds one block of one set. Carried: [sum][even, odd]:
/// sums of whole 16-bit lanes (low byte + 256 high byte, modulo 65536), and of
/// their high bytes alone.
SmallVector<Value> addLaneBlock(Emitter &e, const PhaseInput &input,
                                Value table, Value tableIndex, Value block,
                                Value set, bool fetchesAhead,
                                ValueRange carried) {
  const int64_t bytes = input.target.lookupBytes;
  const VectorType halves = e.vector(e.getI16Type(), bytes / 2);
  Value chunk = chunkAt(e, input, set, block);
  if (fetchesAhead)
    prefetch(e, input, chunk);
  SmallVector<Value> sums(carried);
  for (int64_t piece = 0; piece < kChunk; piece += bytes) {
    Value codes = e.loadVector(input.planes, e.add(chunk, piece), bytes, bytes);
    Value planes[2] = {lowNibbles(e, codes), highNibbles(e, codes)};
    for (int part = 0; part < 2; ++part) {
      Value entries = e.loadVector(
          table, e.add(tableIndex, part * kChunk + piece), bytes, bytes);
      for (int plane = 0; plane < 2; ++plane) {
        const int k = sumIndex(input.pack, plane, part);
        if (k < 0)
          continue;
        Value found =
            TableLookupOp::create(e, LookupLanes::Lane, entries, planes[plane]);
        Value pairs = e.bitcast(halves, found);
        Value *sum = &sums[2 * k];
        sum[0] = e.add(sum[0], pairs);
        sum[1] = e.add(sum[1],
                       arith::ShRUIOp::create(e, pairs, e.constant(halves, 8)));
      }
    }
  }
  return sums;
}

/// Widens the 16-bit sums to one 32-bit lane per row.
Value flushLane(Emitter &e, Value even, Value odd, int64_t bytes) {
  const VectorType halves = cast<VectorType>(even.getType());
  Value low = e.sub(even, arith::ShLIOp::create(e, odd, e.constant(halves, 8)));
  Value rows = arith::ExtUIOp::create(
      e, e.ints(bytes), vector::InterleaveOp::create(e, low, odd));
  Value sum = e.slice(rows, 0, kLanes);
  for (int64_t lane = kLanes; lane < bytes; lane += kLanes)
    sum = e.add(sum, e.slice(rows, lane, kLanes));
  return sum;
}

/// `count` sums of 16 rows from number `first` of the scratch on.
Values loadSums(Emitter &e, Value scratch, Value first, int64_t count) {
  Values sums;
  for (int64_t k = 0; k < count; ++k)
    sums.push_back(
        e.loadVector(scratch, e.mul(e.add(first, k), kLanes), kLanes, 64));
  return sums;
}

void storeSums(Emitter &e, ValueRange sums, Value scratch, Value first) {
  for (auto [k, sum] : llvm::enumerate(sums))
    e.storeVector(sum, scratch, e.mul(e.add(first, int64_t(k)), kLanes), 64);
}

/// even = odd = 0
/// for block of [begin, end): addBlock
/// total += even and odd, widened to one 32-bit lane per row
///
/// The blocks must be few enough for sums of bytes in 16-bit lanes.
Values addLaneBlocks(Emitter &e, const PhaseInput &input, Value begin,
                     Value end, bool isHigh, ValueRange totals,
                     function_ref<Values(Value, ValueRange)> addBlock) {
  const int64_t bytes = input.target.lookupBytes;
  const VectorType halves = e.vector(e.getI16Type(), bytes / 2);
  Values zero(2 * totals.size(), e.constant(halves, 0));
  Values sums = e.forLoop(begin, end, 1, zero, addBlock);
  Values next;
  for (size_t k = 0; k < totals.size(); ++k) {
    Value flushed = flushLane(e, sums[2 * k], sums[2 * k + 1], bytes);
    if (isHigh)
      flushed = arith::ShLIOp::create(e, flushed, e.constant(e.ints(), 2));
    next.push_back(e.add(totals[k], flushed));
  }
  return next;
}

/// for panel of [begin, end): for set:
///   totals = scratch[set]; addBlocks(set, the panel); put back
///
/// The registers of all CPUs hold the sums of one set, so those of the others
/// wait in `scratch`, [set][sum][16].
void forLanePanels(
    Emitter &e, const PhaseInput &input, Value begin, Value end, Value scratch,
    function_ref<Values(Value, Value, Value, ValueRange)> addBlocks) {
  const int64_t perSet = sumsPerSet(input.pack);
  const int64_t bytesPerBlock = kChunk / input.target.lookupBytes;
  const int64_t panel = std::min(panelBlocks(input.pack),
                                 256 / bytesPerBlock); // 256 * 255 < 65536
  e.forLoop(begin, end, panel, {}, [&](Value start, ValueRange) -> Values {
    Value stop = arith::MinUIOp::create(e, e.add(start, panel), end);
    e.forLoop(e.index(0), e.index(input.pack.sets()), [&](Value set) {
      Value first = e.mul(set, perSet);
      const Values totals = loadSums(e, scratch, first, perSet);
      storeSums(e, addBlocks(set, start, stop, totals), scratch, first);
    });
    return {};
  });
}

} // namespace

/// scratch = 0
/// for panel of blocks: for set: scratch[set] += low tables
/// for panel of wide blocks: for set: scratch[set] += 4 * high tables
Values laneSums(Emitter &e, const PhaseInput &input, Value token,
                const Span &span, Value scratch) {
  // Each pass over a panel reads every so many-th chunk, so the same time ahead
  // is so many times as far in the stream.
  PhaseInput pass = input;
  pass.aheadL1 = e.mul(input.aheadL1, input.pack.sets());
  pass.aheadL2 = e.mul(input.aheadL2, input.pack.sets());
  auto addFrom = [&](Value table, bool isHigh, Value begin, Value end,
                     function_ref<Value(Value)> blockOf) {
    forLanePanels(e, input, begin, end, scratch,
                  [&](Value set, Value start, Value stop, ValueRange totals) {
                    return addLaneBlocks(
                        e, input, start, stop, isHigh, totals,
                        [&](Value i, ValueRange carried) {
                          Value block = blockOf(i);
                          return addLaneBlock(
                              e, pass, table, tableAt(e, input, token, block),
                              block, set,
                              /*fetchesAhead=*/!isHigh, carried);
                        });
                  });
  };
  const int64_t count = input.pack.sets() * sumsPerSet(input.pack);
  storeSums(e, Values(count, e.constant(e.ints(), 0)), scratch, e.index(0));
  Value begin = firstBlock(e, span);
  addFrom(input.tables.low, false, begin, e.add(begin, span.blocks()),
          [](Value block) { return block; });
  const auto [wideBegin, wideEnd] = wideRange(e, input, token, span);
  addFrom(input.tables.high, true, wideBegin, wideEnd,
          [&](Value i) { return wideBlock(e, input, token, i); });
  return loadSums(e, scratch, e.index(0), count);
}

} // namespace fairy2
