// SPDX-License-Identifier: Apache-2.0
//
// Codes into bytes, and bytes times activations, for a tile of 16 rows of
// codes: 32 real rows, whose sums for 12 tokens are 24 of the 32 registers.
#include "passes/cpu/loops/PhaseProducts.h"

#include "dialect/Fairy2LoopOps.h"
#include "dialect/Fairy2PackedOps.h"

using namespace mlir;

namespace fairy2 {
namespace {

/// Tokens whose sums lie in registers side by side.
constexpr int64_t kTokensAside = 12;
/// Fewer at the end of a batch. 2 tokens have 4 sums in turns, which just hide
/// the latency of a product where one starts in each cycle.
constexpr int64_t kTokenGroups[] = {kTokensAside, 4, 2, 1};
/// Tokens for which a panel is decoded once; their sums take 33 KiB.
constexpr int64_t kTokensTogether = 22 * kTokensAside;
/// Blocks of a panel, which stays in L1 or near by: 32 KiB of bytes.
constexpr int64_t kPanelBlocks = 32;

/// The order of bytes in a panel, [block][group][half of x][part][row][column],
/// and of words of x, [block][group][half of x]. A step is one word of x, and
/// 64 bytes of either part.
struct ByteOrder {
  static constexpr int64_t kGroups = kBlock / SignPlaneLayout::kGroupColumns;
  static constexpr int64_t kStepsPerGroup = 2, kParts = 2;
  static constexpr int64_t kStepsPerBlock = kGroups * kStepsPerGroup;
  static constexpr int64_t kStepBytes = kParts * kChunk;
};

int64_t stepsOf(const SignPlanePack &pack) {
  return pack.matrix(0).blocks() * ByteOrder::kStepsPerBlock;
}

enum ProductBuffer { Words, Sums };

} // namespace

bool hasProducts(PackedLinearOp op, const SignPlanePack &pack,
                 const CpuTarget &target, int64_t batch) {
  // Tiles keep a sum for every 64 columns. One stage takes half of a look-up
  // and half of an addition for a parameter, which no product beats.
  return target.productsFrom && batch > 1 && op.getScales() &&
         pack.isOnGrid() && !pack.isTiled() && pack.sets() > 2;
}

SmallVector<Buffer> productScratch(MLIRContext *context,
                                   const SignPlanePack &pack, int64_t batch) {
  Type i32 = IntegerType::get(context, 32);
  SmallVector<Buffer> buffers(2);
  buffers[Words] = Buffer{0, roundUp(batch, kTokensAside) / kTokensAside,
                          stepsOf(pack) * kTokensAside, 0, i32};
  buffers[Sums] = Buffer{0, batch, 1, 0, i32};
  return buffers;
}

ProductArguments::ProductArguments(Kernel &kernel, PackedLinearOp op,
                                   unsigned first)
    : words(kernel.scratch(op, first + Words)),
      sums(kernel.scratch(op, first + Sums)), from(kernel.productsFrom()) {}

Value multiplies(Emitter &e, const ProductArguments &products, Value count) {
  return arith::CmpIOp::create(e, arith::CmpIPredicate::sge, count,
                               products.from);
}

//===----------------------------------------------------------------------===//
// Words of x
//===----------------------------------------------------------------------===//

/// Index of the word of a token at a step.
static Value wordAt(Emitter &e, const ProductArguments &products, Value token,
                    Value step) {
  Value group = e.div(token, kTokensAside), place = e.rem(token, kTokensAside);
  return e.add(
      e.add(e.mul(group, products.words.stride), e.mul(step, kTokensAside)),
      place);
}

/// for block: for half of x: for group of 4 columns:
///   words[block][group][half][token] = the group's four values
/// sums[token] = sum of x
void storeWords(Emitter &e, const ProductArguments &products, int64_t columns,
                Value x, Value row, Value token) {
  Value first = wordAt(e, products, token, e.index(0));
  Value sum = e.forRow(
      columns, {e.constant(e.ints(), 0)},
      [&](Value column, Value mask, ValueRange carried) -> SmallVector<Value> {
        Value total = carried[0];
        Value block = e.div(column, kBlock);
        for (int64_t half = 0; half < 2; ++half) {
          Value values =
              e.keep(e.loadVector(x, e.add(e.add(row, column), half * columns),
                                  kBlock),
                     mask);
          total = e.add(total, arith::ExtSIOp::create(e, e.ints(), values));
          Value words = e.bitcast(e.ints(ByteOrder::kGroups), values);
          for (int64_t group = 0; group < ByteOrder::kGroups; ++group) {
            const int64_t step = group * ByteOrder::kStepsPerGroup + half;
            Value at = e.add(e.mul(block, ByteOrder::kStepsPerBlock), step);
            e.store(vector::ExtractOp::create(e, words, group), products.words,
                    e.add(first, e.mul(at, kTokensAside)));
          }
        }
        return {total};
      })[0];
  e.store(e.treeSum(sum), products.sums, token);
}

//===----------------------------------------------------------------------===//
// Codes into bytes
//===----------------------------------------------------------------------===//

namespace {

/// Tables of the bytes that a nibble of sign bits adds to four columns, of a
/// set: by its integers for codes +-1 and +-i. The same where these are equal.
struct SetBytes {
  Value re, im;
};

/// Decodes the tile that `input` points at.
class Decoder {
public:
  Decoder(Emitter &e, const PhaseInput &input);
  /// The bytes of a group of 4 columns to panel[at ..].
  void decodeGroup(Value chunk, int64_t group, Value panel, Value at);

private:
  Value integerOf(int64_t set, int64_t axis);
  Value tableOf(Value integer);
  Value bytes(Value integer) {
    return e.splat(arith::TruncIOp::create(e, e.getI8Type(), integer), kChunk);
  }

  Emitter &e;
  const PhaseInput &input;
  SmallVector<SetBytes> sets;
  /// What sums of c_re a begin with, of U and of W.
  Value firstA[2];
};

/// The integer of a set on an axis.
Value Decoder::integerOf(int64_t set, int64_t axis) {
  const SignPlanePack &pack = input.pack;
  if (!pack.hasScales())
    return e.constant(e.getI32Type(), int64_t(1)
                                          << (pack.sets() / 2 - 1 - set / 2));
  Value at = e.add(input.tileScales, set * pack.scalesPerSet() + axis);
  return e.load(input.scales, at);
}

/// Entry e: four bytes, each the integer where bit b of e is set.
Value Decoder::tableOf(Value integer) {
  SmallVector<int32_t> ones;
  for (int32_t entry = 0; entry < 16; ++entry) {
    int32_t word = 0;
    for (int b = 0; b < 4; ++b)
      word |= (entry >> b & 1) << (8 * b);
    ones.push_back(word);
  }
  // An integer fits a byte, so none carries into the next.
  return e.mul(
      arith::ConstantOp::create(
          e, DenseElementsAttr::get(e.ints(), ArrayRef<int32_t>(ones))),
      e.splat(integer));
}

/// p and q are sign bits: a = p + q - 1 and b = p - q. So sums of c a begin at
/// minus the sum of c; those of U at 128 more, as does b of W: each byte is a
/// sum or a difference with one of the two.
Decoder::Decoder(Emitter &e, const PhaseInput &input) : e(e), input(input) {
  Value first[2] = {e.constant(e.getI32Type(), 128),
                    e.constant(e.getI32Type(), 0)};
  for (int64_t set = 0; set < input.pack.sets(); ++set) {
    Value re = integerOf(set, 0), im = integerOf(set, 1);
    sets.push_back({tableOf(re), tableOf(im)});
    Value &mine = first[isConjugated(set)];
    mine = e.sub(mine, re);
  }
  for (int w = 0; w < 2; ++w)
    firstA[w] = bytes(first[w]);
}

/// for set: p, q = nibbles of each row's byte; for axis:
///   sum of p += its bytes, sum of q += its bytes
/// a = p + q, b = p - q of U and of W
///
/// All sums are modulo 256; the bytes fit. Equal tables make equal sums, which
/// are found once.
void Decoder::decodeGroup(Value chunk, int64_t group, Value panel, Value at) {
  constexpr int64_t kRows = SignPlaneLayout::kTileRows;
  Value sums[2][2][2]; // [U, W][axis][p, q]
  for (auto [set, tables] : llvm::enumerate(sets)) {
    Value codes = arith::ExtUIOp::create(
        e, e.ints(),
        e.loadVector(input.planes,
                     e.add(chunk, int64_t(set) * kChunk + group * kRows), kRows,
                     kRows));
    const Value nibbles[2] = {
        codes, arith::ShRUIOp::create(e, codes, e.constant(e.ints(), 4))};
    const Value ofAxis[2] = {tables.re, tables.im};
    for (int axis = 0; axis < 2; ++axis)
      for (int plane = 0; plane < 2; ++plane) {
        Value found =
            e.bitcast(e.bytes(kChunk),
                      WordLookupOp::create(e, ofAxis[axis], nibbles[plane]));
        Value &sum = sums[isConjugated(int64_t(set))][axis][plane];
        sum = sum ? e.add(sum, found) : found;
      }
  }
  Value a[2], b[2];
  for (int w = 0; w < 2; ++w) {
    a[w] = e.add(e.add(sums[w][0][0], sums[w][0][1]), firstA[w]);
    b[w] = e.sub(sums[w][1][0], sums[w][1][1]);
  }
  b[1] = e.add(b[1], e.constant(e.bytes(kChunk), int64_t(-128)));
  // [half of x][part]
  const Value bytes[2][2] = {{e.add(a[0], a[1]), e.add(b[0], b[1])},
                             {e.sub(b[1], b[0]), e.sub(a[0], a[1])}};
  for (int64_t half = 0; half < 2; ++half)
    for (int64_t part = 0; part < ByteOrder::kParts; ++part) {
      const int64_t step = group * ByteOrder::kStepsPerGroup + half;
      e.storeVector(bytes[half][part], panel,
                    e.add(at, step * ByteOrder::kStepBytes + part * kChunk),
                    64);
    }
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// The products of a tile's panels with tokens.
struct Products {
  Emitter &e;
  const PhaseInput &input;
  const ProductArguments &arguments;
  const ProductScratch &scratch;

  static constexpr int64_t kTotals = ByteOrder::kParts * kLanes;

  void decode(Decoder &decoder, Value begin, Value end);
  void addPanel(Value firstWord, Value steps, int64_t tokens, Value totals);
};

/// for block of the panel: for group: its bytes
void Products::decode(Decoder &decoder, Value begin, Value end) {
  e.forLoop(begin, end, [&](Value block) {
    Value chunk = chunkAt(e, input, e.index(0), block);
    for (int64_t set = 0; set < input.pack.sets(); ++set)
      prefetch(e, input, chunkAt(e, input, e.index(set), block));
    Value at = e.mul(e.sub(block, begin),
                     ByteOrder::kStepsPerBlock * ByteOrder::kStepBytes);
    for (int64_t group = 0; group < ByteOrder::kGroups; ++group)
      decoder.decodeGroup(chunk, group, scratch.bytes, at);
  });
}

/// sums = totals
/// for step of the panel: for token:
///   sums[token] += bytes of the step times the token's word
/// totals = sums
void Products::addPanel(Value firstWord, Value steps, int64_t tokens,
                        Value totals) {
  const int64_t count = tokens * ByteOrder::kParts;
  Values sums;
  for (int64_t i = 0; i < count; ++i)
    sums.push_back(
        e.loadVector(scratch.totals, e.add(totals, i * kLanes), kLanes, 64));
  sums = e.forLoop(
      e.index(0), steps, 1, sums, [&](Value step, ValueRange carried) {
        Value bytes[ByteOrder::kParts];
        for (int64_t part = 0; part < ByteOrder::kParts; ++part)
          bytes[part] = e.loadVector(
              scratch.bytes,
              e.add(e.mul(step, ByteOrder::kStepBytes), part * kChunk), kChunk,
              64);
        Value words = e.add(firstWord, e.mul(step, kTokensAside));
        Values next;
        for (int64_t t = 0; t < tokens; ++t) {
          Value x =
              e.bitcast(e.bytes(kChunk),
                        e.splat(e.load(arguments.words, e.add(words, t))));
          for (int64_t part = 0; part < ByteOrder::kParts; ++part)
            next.push_back(Dot4AccumulateOp::create(
                e, carried[t * ByteOrder::kParts + part], bytes[part], x));
        }
        return next;
      });
  for (auto [i, sum] : llvm::enumerate(sums))
    e.storeVector(sum, scratch.totals, e.add(totals, int64_t(i) * kLanes), 64);
}

} // namespace

ProductScratch::ProductScratch(Emitter &e, const SignPlanePack &pack,
                               int64_t batch)
    : tokens(std::min(roundUp(batch, kTokensAside), kTokensTogether)) {
  const int64_t blocks = std::min(pack.matrix(0).blocks(), kPanelBlocks);
  auto allocate = [&](int64_t elements, Type element) -> Value {
    return memref::AllocaOp::create(e, MemRefType::get({elements}, element),
                                    e.getI64IntegerAttr(64));
  };
  bytes = allocate(blocks * ByteOrder::kStepsPerBlock * ByteOrder::kStepBytes,
                   e.getI8Type());
  totals = allocate(tokens * Products::kTotals, e.getI32Type());
}

/// for tokens that are worked on together:
///   totals[token] = -128 times the sum of x
///   for panel: decode; for group of tokens: totals[token] += bytes times words
///   for token: body(totals[token])
void forEachTokenByProducts(Emitter &e, const PhaseInput &input,
                            const ProductArguments &arguments,
                            const ProductScratch &scratch, Value count,
                            function_ref<void(Value, Values)> body) {
  Products products{e, input, arguments, scratch};
  Decoder decoder(e, input);
  Value blocks = e.index(input.pack.matrix(0).blocks());
  auto minimum = [&](Value a, Value b) -> Value {
    return arith::MinUIOp::create(e, a, b);
  };
  auto totalsAt = [&](Value local) { return e.mul(local, Products::kTotals); };
  auto forStepped = [&](Value begin, Value end, int64_t step,
                        function_ref<void(Value)> inner) {
    e.forLoop(begin, end, step, {}, [&](Value i, ValueRange) -> Values {
      inner(i);
      return {};
    });
  };
  forStepped(e.index(0), count, scratch.tokens, [&](Value first) {
    Value tokens = minimum(e.sub(count, first), e.index(scratch.tokens));
    e.forLoop(e.index(0), tokens, [&](Value local) {
      Value sum = e.load(arguments.sums, e.add(first, local));
      Value less = e.splat(e.mul(sum, e.constant(e.getI32Type(), -128)));
      for (int64_t part = 0; part < ByteOrder::kParts; ++part)
        e.storeVector(less, scratch.totals,
                      e.add(totalsAt(local), part * kLanes), 64);
    });
    forStepped(e.index(0), blocks, kPanelBlocks, [&](Value begin) {
      Value end = minimum(e.add(begin, kPanelBlocks), blocks);
      products.decode(decoder, begin, end);
      Value firstStep = e.mul(begin, ByteOrder::kStepsPerBlock);
      Value steps = e.mul(e.sub(end, begin), ByteOrder::kStepsPerBlock);
      // As many tokens as possible in large groups, which never cross a group
      // of words.
      Value from = e.index(0);
      for (int64_t group : kTokenGroups) {
        Value to = e.mul(e.div(tokens, group), group);
        forStepped(from, to, group, [&](Value local) {
          products.addPanel(
              wordAt(e, arguments, e.add(first, local), firstStep), steps,
              group, totalsAt(local));
        });
        from = to;
      }
    });
    e.forLoop(e.index(0), tokens, [&](Value local) {
      Values terms;
      for (int64_t part = 0; part < ByteOrder::kParts; ++part)
        terms.push_back(e.loadVector(
            scratch.totals, e.add(totalsAt(local), part * kLanes), kLanes, 64));
      const Span all{e.index(0), input.pack.columns};
      body(e.add(first, local), offGrid(e, input, all, terms));
    });
  });
}

} // namespace fairy2
