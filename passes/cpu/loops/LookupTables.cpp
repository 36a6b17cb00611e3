// SPDX-License-Identifier: Apache-2.0
//
// The step that builds the look-up tables of every token.
#include "passes/cpu/loops/PhaseLookup.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace fairy2 {
/// The 64 table entries of 16 values (four groups of 16), as 16-bit sums.
static Value tableEntries(Emitter &e, Value x) {
  Value zero = e.constant(x.getType(), 0);
  Value positive = e.maximum(x, zero);
  Value negative = e.maximum(e.sub(zero, x), zero);
  const VectorType entries = e.vector(e.getI16Type(), kChunk);
  Value sum;
  for (int64_t b = 0; b < 4; ++b) {
    SmallVector<int64_t> pick;
    for (int64_t group = 0; group < 4; ++group)
      for (int64_t entry = 0; entry < 16; ++entry)
        pick.push_back(4 * group + b + (entry >> b & 1 ? 0 : kBlock));
    Value part = arith::ExtUIOp::create(
        e, entries, vector::ShuffleOp::create(e, positive, negative, pick));
    sum = sum ? e.add(sum, part) : part;
  }
  return sum;
}

void callBuildTables(PackedLinearOp op, const SignPlanePack &pack,
                     LoopContext &context) {
  const int64_t m = pack.columns, blocks = pack.matrix(0).blocks();
  const int64_t spans = pack.spans();
  const Buffer &in = context.buffer(op.getInput());
  SmallVector<Value> kernelArguments = {context.view(op.getInput()),
                                        context.tokenCount(op.getInput())};
  for (unsigned i = 0; i < 5; ++i)
    kernelArguments.push_back(context.view(context.scratch(op, i)));
  const std::string name = llvm::formatv("build_tables_{0}_{1}", m, in.stride);
  context.call(
      op.getLoc(), name + (pack.isTiled() ? "_tiled" : ""), kernelArguments,
      [&](Emitter &e, ValueRange a) {
        ValueRange tables = a.drop_front(2);
        // Stores the tables of the 16 columns from `column` on; returns the
        // magnitudes of x_re and x_im, and whether an entry is over 255.
        auto buildBlock = [&](Value row, Value column, Value at, Value mask) {
          SmallVector<Value> magnitudes;
          Value anyHigh;
          for (int64_t part = 0; part < 2; ++part) {
            Value x = e.keep(
                e.loadVector(a[0], e.add(e.add(row, column), part * m), kBlock),
                mask);
            Value entries = tableEntries(e, x);
            Value low = arith::TruncIOp::create(e, e.bytes(kChunk), entries);
            Value high = arith::ShLIOp::create(
                e,
                arith::TruncIOp::create(
                    e, e.bytes(kChunk),
                    arith::ShRUIOp::create(e, entries,
                                           e.constant(entries.getType(), 8))),
                e.constant(e.bytes(kChunk), 6));
            e.storeVector(low, tables[Low], e.add(at, part * kChunk), 64);
            e.storeVector(high, tables[High], e.add(at, part * kChunk), 64);
            anyHigh = anyHigh ? arith::OrIOp::create(e, anyHigh, high) : high;
            magnitudes.push_back(math::AbsIOp::create(
                e, arith::ExtSIOp::create(e, e.ints(), x)));
          }
          Value any = vector::ReductionOp::create(e, vector::CombiningKind::OR,
                                                  anyHigh);
          Value isWide = arith::CmpIOp::create(e, arith::CmpIPredicate::ne, any,
                                               e.constant(e.getI8Type(), 0));
          return std::tuple(magnitudes[0], magnitudes[1], isWide);
        };
        e.forall(a[1], [&](Value i) {
          Value row = e.mul(i, in.stride);
          Value starts = e.mul(i, spans + 1);
          Value none = e.constant(e.getI32Type(), 0);
          e.store(none, tables[WideStarts], starts);
          // Carried: number of wide blocks so far.
          forSpans(e, pack, none, [&](const Span &span, ValueRange before) {
            Value firstColumn = e.mul(span.index, kScaleTile);
            // Carried: that number, sums of |x_re| and |x_im|.
            auto addBlock = [&](Value offset, Value mask,
                                ValueRange carried) -> SmallVector<Value> {
              Value column = e.add(firstColumn, offset);
              Value block = e.div(column, kBlock);
              Value at = e.mul(e.add(e.mul(i, blocks), block), kTableBytes);
              const auto [re, im, isWide] = buildBlock(row, column, at, mask);
              // Written always, counted when wide: no branch.
              Value word = arith::IndexCastOp::create(e, e.getI32Type(), block);
              e.store(word, tables[WideList],
                      e.add(e.mul(i, blocks), e.toIndex(carried[0])));
              Value count =
                  e.add(carried[0],
                        arith::ExtUIOp::create(e, e.getI32Type(), isWide));
              return {count, e.add(carried[1], re), e.add(carried[2], im)};
            };
            const SmallVector<Value> sums = e.forRow(
                span.columns,
                {before[0], e.constant(e.ints(), 0), e.constant(e.ints(), 0)},
                addBlock);
            Value at = e.mul(e.add(e.mul(i, spans), span.index), 2);
            for (int64_t part = 0; part < 2; ++part)
              e.store(e.treeSum(sums[1 + part]), tables[Magnitudes],
                      e.add(at, part));
            e.store(sums[0], tables[WideStarts],
                    e.add(e.add(starts, span.index), 1));
            return SmallVector<Value>{sums[0]};
          });
        });
      });
}

} // namespace fairy2
