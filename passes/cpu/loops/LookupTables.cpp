// SPDX-License-Identifier: Apache-2.0
//
// The step that builds the look-up tables of every token.
#include "passes/cpu/loops/LookupTables.h"

#include "dialect/Fairy2PackedOps.h"
#include "passes/cpu/loops/PhaseProducts.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace fairy2 {

/// The scratch buffers of a layer on tables.
enum TableBuffer { Low, High, Magnitudes, WideStarts, WideList };

SmallVector<Buffer> tableScratch(MLIRContext *context,
                                 const SignPlanePack &pack, int64_t batch) {
  Type i8 = IntegerType::get(context, 8), i32 = IntegerType::get(context, 32);
  const int64_t blocks = pack.matrix(0).blocks(), spans = pack.spans();
  SmallVector<Buffer> buffers(kTableBuffers);
  buffers[Low] = buffers[High] = Buffer{0, batch, blocks * kTableBytes, 0, i8};
  buffers[Magnitudes] = Buffer{0, batch, 2 * spans, 0, i32};
  buffers[WideStarts] = Buffer{0, batch, spans + 1, 0, i32};
  buffers[WideList] = Buffer{0, batch, blocks, 0, i32};
  return buffers;
}

TableArguments::TableArguments(Kernel &kernel, PackedLinearOp op)
    : low(kernel.scratch(op, Low)), high(kernel.scratch(op, High)),
      magnitudes(kernel.scratch(op, Magnitudes)),
      wideStarts(kernel.scratch(op, WideStarts)),
      wideList(kernel.scratch(op, WideList)) {}

/// T[group][entry] = sum over b of max(+-x[4 group + b], 0), the sign being bit
/// b of the entry.
///
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

namespace {

/// What one token's tables are made of and where they go.
struct TableBuilder {
  Emitter &e;
  const Spans &spans;
  Value x, row; ///< where the token's row of int8 values lies
  Tables tables;

  /// Of one block: 16 magnitudes of x_re and of x_im, and whether an entry is
  /// over 255.
  struct Block {
    Value re, im, isWide;
  };
  Block build(Value column, Value at, Value mask);
};

/// for half of x: entries = T of 16 columns
///   low[at] = entries mod 256, high[at] = 64 (entries / 256)
TableBuilder::Block TableBuilder::build(Value column, Value at, Value mask) {
  SmallVector<Value> magnitudes;
  Value anyHigh;
  for (int64_t part = 0; part < 2; ++part) {
    Value values =
        e.keep(e.loadVector(x, e.add(e.add(row, column), part * spans.columns),
                            kBlock),
               mask);
    Value entries = tableEntries(e, values);
    Value low = arith::TruncIOp::create(e, e.bytes(kChunk), entries);
    Value high = arith::ShLIOp::create(
        e,
        arith::TruncIOp::create(
            e, e.bytes(kChunk),
            arith::ShRUIOp::create(e, entries,
                                   e.constant(entries.getType(), 8))),
        e.constant(e.bytes(kChunk), 6));
    e.storeVector(low, tables.low, e.add(at, part * kChunk), 64);
    e.storeVector(high, tables.high, e.add(at, part * kChunk), 64);
    anyHigh = anyHigh ? arith::OrIOp::create(e, anyHigh, high) : high;
    magnitudes.push_back(
        math::AbsIOp::create(e, arith::ExtSIOp::create(e, e.ints(), values)));
  }
  Value any =
      vector::ReductionOp::create(e, vector::CombiningKind::OR, anyHigh);
  Value isWide = arith::CmpIOp::create(e, arith::CmpIPredicate::ne, any,
                                       e.constant(e.getI8Type(), 0));
  return {magnitudes[0], magnitudes[1], isWide};
}

} // namespace

/// for span: for block of the span:
///   low, high = tables of the block; if one is wide, its number joins the list
///   magnitudes[span] += |x|
///   wideStarts[span + 1] = length of the list
static void buildTables(Emitter &e, const Spans &spans, const Rows &x,
                        const TableArguments &tables, Value token) {
  const int64_t blocks = tables.wideList.stride;
  TableBuilder builder{e, spans, x, x.row(e, token), tables.values()};
  Value starts = tables.wideStarts.row(e, token);
  Value none = e.constant(e.getI32Type(), 0);
  e.store(none, tables.wideStarts, starts);
  // Carried: number of wide blocks so far.
  forSpans(e, spans, none, [&](const Span &span, ValueRange before) {
    Value firstColumn = e.mul(span.index, kScaleTile);
    // Carried: that number, sums of |x_re| and |x_im|.
    auto addBlock = [&](Value offset, Value mask,
                        ValueRange carried) -> SmallVector<Value> {
      Value column = e.add(firstColumn, offset);
      Value block = e.div(column, kBlock);
      Value at = e.mul(e.add(e.mul(token, blocks), block), kTableBytes);
      const auto [re, im, isWide] = builder.build(column, at, mask);
      // Written always, counted when wide: no branch.
      Value word = arith::IndexCastOp::create(e, e.getI32Type(), block);
      e.store(word, tables.wideList,
              e.add(tables.wideList.row(e, token), e.toIndex(carried[0])));
      Value length =
          e.add(carried[0], arith::ExtUIOp::create(e, e.getI32Type(), isWide));
      return {length, e.add(carried[1], re), e.add(carried[2], im)};
    };
    const SmallVector<Value> sums =
        e.forRow(span.columns,
                 {before[0], e.constant(e.ints(), 0), e.constant(e.ints(), 0)},
                 addBlock);
    Value at = e.mul(e.add(e.mul(token, spans.count()), span.index), 2);
    for (int64_t part = 0; part < 2; ++part)
      e.store(e.treeSum(sums[1 + part]), tables.magnitudes, e.add(at, part));
    e.store(sums[0], tables.wideStarts, e.add(e.add(starts, span.index), 1));
    return SmallVector<Value>{sums[0]};
  });
}

/// parallel for token: its tables, or its words
void callPrepareTokens(PackedLinearOp op, const SignPlanePack &pack,
                       bool hasProducts, LoopContext &context) {
  // The op's pack does not matter, and layers of one width share the kernel:
  // its arguments' strides say how many blocks and spans there are.
  Kernel kernel(context, op.getLoc(),
                llvm::formatv("{0}_{1}",
                              hasProducts ? "prepare_tokens" : "build_tables",
                              pack.columns));
  const Rows x = kernel.rows(op.getInput());
  const Argument count = kernel.tokens(op.getInput());
  const TableArguments tables(kernel, op);
  std::optional<ProductArguments> products;
  if (hasProducts)
    products.emplace(kernel, op, kTableBuffers);
  kernel.emit([&](Emitter &e) {
    auto build = [&] {
      e.forall(count, [&](Value token) {
        buildTables(e, Spans(pack), x, tables, token);
      });
    };
    if (!products)
      return build();
    e.branch(
        multiplies(e, *products, count),
        [&] {
          e.forall(count, [&](Value token) {
            storeWords(e, *products, pack.columns, x, x.row(e, token), token);
          });
        },
        build);
  });
}

} // namespace fairy2
