// SPDX-License-Identifier: Apache-2.0
//
// Bytes times activations, for a tile of 16 rows of codes: 32 real rows, whose
// sums for 12 tokens are 24 of the 32 registers.
#include "passes/cpu/loops/PhaseProducts.h"

#include "dialect/Fairy2LoopOps.h"
#include "dialect/Fairy2PackedOps.h"
#include "passes/cpu/loops/PhaseBytes.h"

using namespace mlir;

namespace fairy2 {
namespace {

/// Tokens whose words lie side by side, and so divide the groups.
constexpr int64_t kWordTokens = 4;
/// Tokens whose sums lie in registers side by side, fewer at the end of a
/// batch. 2 tokens have 4 sums in turns, which just hide the latency of a
/// product where one starts in each cycle. Pairs have their sums in 16 bits,
/// too, in 32 registers of 64 bytes or 16 of 32. Half of 16 registers of 32
/// bytes, or of 32 of 16, hold the sums of 2 tokens.
constexpr int64_t kTokenGroups[] = {12, 4, 2, 1};

ArrayRef<int64_t> panelGroups(const CpuTarget &target) {
  const ArrayRef<int64_t> groups = kTokenGroups;
  if (target.lookupBytes < kChunk)
    return groups.drop_front(2);
  return target.dot4() ? groups : groups.drop_front(1);
}

/// Of a call's first tokens, which are multiplied while codes are decoded: the
/// products of 8 hide the decoding of two stages, and all that follow begin a
/// group of words or end the call.
constexpr int64_t kFirstGroups[] = {8, 4, 1};

/// None where registers do not reach: decoding then comes first.
ArrayRef<int64_t> firstGroups(const SignPlanePack &pack,
                              const CpuTarget &target) {
  if (!target.dot4() || target.lookupBytes < kChunk || pack.sets() > 4)
    return {};
  return kFirstGroups;
}

/// Tokens for which a panel is decoded once; their sums take 33 KiB.
constexpr int64_t kTokensTogether = 8 + 21 * 12;
/// Blocks of a panel, which stays in L1 or near by: 32 KiB of bytes.
constexpr int64_t kPanelBlocks = 32;

/// The order of bytes in a panel, [block][step][half of x][part][row][column],
/// and of words of x, [block][step][half of x].
struct ByteOrder {
  static constexpr int64_t kHalves = 2, kParts = 2;
  static constexpr int64_t kWordsPerBlock = ByteSteps::kPerBlock * kHalves;
  static constexpr int64_t kWordBytes = kParts * kChunk;
  static constexpr int64_t kBlockBytes = kWordsPerBlock * kWordBytes;
};

int64_t wordsOf(const SignPlanePack &pack) {
  return pack.matrix(0).blocks() * ByteOrder::kWordsPerBlock;
}

/// The largest entry of A' where stages are binary.
int64_t largestEntry(const SignPlanePack &pack) {
  return 2 * ((int64_t(1) << pack.sets() / 2) - 1);
}

/// Words of x whose products of pairs are added in 16 bits, 0 where not even
/// one fits.
int64_t wordsPerSum(const SignPlanePack &pack) {
  if (!pack.isBinaryOnGrid() || largestEntry(pack) > 127)
    return 0;
  const int64_t pair = 2 * 127 * 2 * largestEntry(pack);
  return std::min<int64_t>(llvm::bit_floor(uint64_t(INT16_MAX / pair)),
                           ByteOrder::kWordsPerBlock);
}

/// What is added to A', so that bytes are unsigned where they have to be.
int64_t offsetOf(const SignPlanePack &pack, const CpuTarget &target) {
  if (const CpuTarget::Dot4 *dot4 = target.dot4())
    return dot4->hasSignedLhs ? 0 : 128;
  return largestEntry(pack);
}

enum ProductBuffer { Words, Sums };

} // namespace

bool hasProducts(PackedLinearOp op, const SignPlanePack &pack,
                 const CpuTarget &target, int64_t batch) {
  // Tiles keep a sum for every 64 columns. One stage takes half of a look-up
  // and half of an addition for a parameter, which no product beats.
  return target.productsFrom && batch > 1 && op.getScales() &&
         pack.isOnGrid() && !pack.isTiled() && pack.sets() > 2 &&
         (target.dot4() || wordsPerSum(pack));
}

SmallVector<Buffer> productScratch(MLIRContext *context,
                                   const SignPlanePack &pack, int64_t batch) {
  Type i32 = IntegerType::get(context, 32);
  SmallVector<Buffer> buffers(2);
  buffers[Words] = Buffer{0, roundUp(batch, kWordTokens) / kWordTokens,
                          wordsOf(pack) * kWordTokens, 0, i32};
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

/// Index of word `number` of a token.
static Value wordAt(Emitter &e, const ProductArguments &products, Value token,
                    Value number) {
  Value group = e.div(token, kWordTokens), place = e.rem(token, kWordTokens);
  return e.add(
      e.add(e.mul(group, products.words.stride), e.mul(number, kWordTokens)),
      place);
}

/// for block: for half of x: for step:
///   words[block][step][half][token] = the step's four values
/// sums[token] = sum of x
void storeWords(Emitter &e, const ProductArguments &products, int64_t columns,
                Value x, Value row, Value token) {
  Value first = wordAt(e, products, token, e.index(0));
  SmallVector<int64_t> from;
  for (int64_t step = 0; step < ByteSteps::kPerBlock; ++step)
    for (int64_t i = 0; i < ByteSteps::kGroup; ++i)
      from.push_back(ByteSteps::column(step, i));
  Value sum = e.forRow(
      columns, {e.constant(e.ints(), 0)},
      [&](Value column, Value mask, ValueRange carried) -> SmallVector<Value> {
        Value total = carried[0];
        Value block = e.div(column, kBlock);
        for (int64_t half = 0; half < ByteOrder::kHalves; ++half) {
          Value values =
              e.keep(e.loadVector(x, e.add(e.add(row, column), half * columns),
                                  kBlock),
                     mask);
          total = e.add(total, arith::ExtSIOp::create(e, e.ints(), values));
          Value words =
              e.bitcast(e.ints(ByteSteps::kPerBlock),
                        vector::ShuffleOp::create(e, values, values, from));
          for (int64_t step = 0; step < ByteSteps::kPerBlock; ++step) {
            Value number = e.add(e.mul(block, ByteOrder::kWordsPerBlock),
                                 step * ByteOrder::kHalves + half);
            e.store(vector::ExtractOp::create(e, words, step), products.words,
                    e.add(first, e.mul(number, kWordTokens)));
          }
        }
        return {total};
      })[0];
  e.store(e.treeSum(sum), products.sums, token);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

namespace {

/// The products of a tile's panels with tokens.
struct Products {
  Emitter &e;
  const PhaseInput &input;
  const ProductArguments &arguments;
  const ProductScratch &scratch;

  static constexpr int64_t kTotals = ByteOrder::kParts * kLanes;

  /// A group of tokens: their first words in the panel, and their sums.
  struct Group {
    int64_t tokens;
    Value firstWord, totals;
  };

  /// Bytes of a vector of products, and int32 sums of one.
  int64_t vectorBytes() const { return input.target.lookupBytes; }
  int64_t sumLanes() const { return vectorBytes() / 4; }
  int64_t sumCount(const Group &group) const {
    return group.tokens * kTotals / sumLanes();
  }
  Values load(const Group &group);
  void store(const Group &group, ValueRange sums);
  void addWord(const Group &group, Value number, ArrayRef<Value> bytes,
               Values &sums);
  void addAndDecode(PhaseBytes &decoder, const Group &group, Value begin,
                    Value end, Value areAll);
  void addPanel(const Group &group, Value blocks);
  void addPanelByPairs(const Group &group, Value blocks);
  Value wordOf(const Group &group, Value words, int64_t token);
};

Values Products::load(const Group &group) {
  Values sums;
  for (int64_t i = 0; i < sumCount(group); ++i)
    sums.push_back(e.loadVector(scratch.totals,
                                e.add(group.totals, i * sumLanes()), sumLanes(),
                                vectorBytes()));
  return sums;
}

void Products::store(const Group &group, ValueRange sums) {
  for (auto [i, sum] : llvm::enumerate(sums))
    e.storeVector(sum, scratch.totals,
                  e.add(group.totals, int64_t(i) * sumLanes()), vectorBytes());
}

/// The token's word at `words`, over and over in a vector.
Value Products::wordOf(const Group &group, Value words, int64_t token) {
  Value at = e.add(words, token / kWordTokens * arguments.words.stride +
                              token % kWordTokens);
  return e.bitcast(e.bytes(vectorBytes()),
                   e.splat(e.load(arguments.words, at), sumLanes()));
}

/// for token: sums[token] += bytes, a word's vectors, times the token's word
///
/// CPUs without such products decode for no token at all.
void Products::addWord(const Group &group, Value number, ArrayRef<Value> bytes,
                       Values &sums) {
  if (!group.tokens)
    return;
  const bool isSigned = input.target.dot4()->hasSignedLhs;
  Value words = e.add(group.firstWord, e.mul(number, kWordTokens));
  for (int64_t t = 0; t < group.tokens; ++t) {
    Value x = wordOf(group, words, t);
    for (size_t i = 0; i < bytes.size(); ++i) {
      Value &sum = sums[t * bytes.size() + i];
      sum = Dot4AccumulateOp::create(e, sum, bytes[i], x, isSigned);
    }
  }
}

/// sums = totals
/// for block of the panel: for word:
///   its bytes, which go to the panel, too; sums[token] += bytes times words
/// totals = sums
///
/// Nobody reads the panel where these tokens `areAll`: then each block writes
/// over the one before, which leaves L1 to the words.
void Products::addAndDecode(PhaseBytes &decoder, const Group &group,
                            Value begin, Value end, Value areAll) {
  Value stride = arith::SelectOp::create(e, areAll, e.index(0),
                                         e.index(ByteOrder::kBlockBytes));
  store(group,
        e.forLoop(
            begin, end, 1, load(group), [&](Value block, ValueRange carried) {
              Values sums(carried);
              for (int64_t set = 0; set < input.pack.sets(); ++set)
                prefetch(e, input, chunkAt(e, input, e.index(set), block));
              Value local = e.sub(block, begin);
              Value first = e.mul(local, ByteOrder::kWordsPerBlock);
              Value panel = e.mul(local, stride);
              decoder.decodeBlock(
                  chunkAt(e, input, e.index(0), block),
                  [&](int64_t step, StepBytes bytes) {
                    for (int64_t half = 0; half < ByteOrder::kHalves; ++half) {
                      const int64_t word = step * ByteOrder::kHalves + half;
                      for (int64_t part = 0; part < ByteOrder::kParts; ++part)
                        e.storeVector(
                            bytes[half][part], scratch.bytes,
                            e.add(panel,
                                  word * ByteOrder::kWordBytes + part * kChunk),
                            64);
                      addWord(group, e.add(first, word), bytes[half], sums);
                    }
                  });
              return sums;
            }));
}

/// sums = totals
/// for word of the panel: for token: sums[token] += bytes times the word
/// totals = sums
void Products::addPanel(const Group &group, Value blocks) {
  if (!input.target.dot4())
    return addPanelByPairs(group, blocks);
  Value words = e.mul(blocks, ByteOrder::kWordsPerBlock);
  store(group, e.forLoop(e.index(0), words, 1, load(group),
                         [&](Value number, ValueRange carried) {
                           Values sums(carried);
                           Value word = e.mul(number, ByteOrder::kWordBytes);
                           Values bytes;
                           for (int64_t at = 0; at < ByteOrder::kWordBytes;
                                at += vectorBytes())
                             bytes.push_back(
                                 e.loadVector(scratch.bytes, e.add(word, at),
                                              vectorBytes(), vectorBytes()));
                           addWord(group, number, bytes, sums);
                           return sums;
                         }));
}

/// sums = totals
/// for block of the panel: for words whose products fit 16 bits together:
///   for word: for token: pairs[token] += bytes times the word
///   sums[token] += pairs[token]
/// totals = sums
void Products::addPanelByPairs(const Group &group, Value blocks) {
  const int64_t together = wordsPerSum(input.pack);
  const int64_t vectors = sumCount(group) / group.tokens;
  auto body = [&](Value block, ValueRange carried) {
    Values sums(carried);
    Value first = e.mul(block, ByteOrder::kWordsPerBlock * kWordTokens);
    Value bytes = e.mul(block, ByteOrder::kBlockBytes);
    for (int64_t begin = 0; begin < ByteOrder::kWordsPerBlock;
         begin += together) {
      Values pairs(sums.size());
      for (int64_t word = begin; word < begin + together; ++word) {
        Value words = e.add(e.add(group.firstWord, first), word * kWordTokens);
        Values x;
        for (int64_t t = 0; t < group.tokens; ++t)
          x.push_back(wordOf(group, words, t));
        for (int64_t i = 0; i < vectors; ++i) {
          Value at =
              e.add(bytes, word * ByteOrder::kWordBytes + i * vectorBytes());
          Value weights =
              e.loadVector(scratch.bytes, at, vectorBytes(), vectorBytes());
          for (int64_t t = 0; t < group.tokens; ++t) {
            Value found = Dot2Op::create(
                e, e.vector(e.getI16Type(), vectorBytes() / 2), weights, x[t]);
            Value &sum = pairs[t * vectors + i];
            sum = sum ? e.add(sum, found) : found;
          }
        }
      }
      for (auto [sum, more] : llvm::zip(sums, pairs))
        sum = Sum2AccumulateOp::create(e, sum, more);
    }
    return sums;
  };
  store(group, e.forLoop(e.index(0), blocks, 1, load(group), body));
}

} // namespace

ProductScratch::ProductScratch(Emitter &e, const SignPlanePack &pack,
                               int64_t batch)
    : tokens(std::min(batch, kTokensTogether)) {
  const int64_t blocks = std::min(pack.matrix(0).blocks(), kPanelBlocks);
  auto allocate = [&](int64_t elements, Type element) -> Value {
    return memref::AllocaOp::create(e, MemRefType::get({elements}, element),
                                    e.getI64IntegerAttr(64));
  };
  bytes = allocate(blocks * ByteOrder::kBlockBytes, e.getI8Type());
  totals = allocate(tokens * Products::kTotals, e.getI32Type());
}

/// for tokens that are worked on together:
///   totals[token] = -offset times the sum of x
///   for panel:
///     for the first group of tokens: decode, totals[token] += bytes times
///     words for group of the others: totals[token] += bytes times words
///   for token: body(totals[token])
void forEachTokenByProducts(Emitter &e, const PhaseInput &input,
                            const ProductArguments &arguments,
                            const ProductScratch &scratch, Value count,
                            function_ref<void(Value, Values)> body) {
  Products products{e, input, arguments, scratch};
  const int64_t offset = offsetOf(input.pack, input.target);
  PhaseBytes decoder(e, input, offset);
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
      Value less = e.splat(e.mul(sum, e.constant(e.getI32Type(), -offset)));
      for (int64_t part = 0; part < ByteOrder::kParts; ++part)
        e.storeVector(less, scratch.totals,
                      e.add(totalsAt(local), part * kLanes), 64);
    });
    forStepped(e.index(0), blocks, kPanelBlocks, [&](Value begin) {
      Value end = minimum(e.add(begin, kPanelBlocks), blocks);
      Value firstWord = e.mul(begin, ByteOrder::kWordsPerBlock);
      auto groupOf = [&](Value local, int64_t size) {
        return Products::Group{
            size, wordAt(e, arguments, e.add(first, local), firstWord),
            totalsAt(local)};
      };
      // The largest first group that there are tokens for.
      const ArrayRef<int64_t> firsts = firstGroups(input.pack, input.target);
      Value from = e.index(0);
      if (firsts.empty())
        products.addAndDecode(decoder, groupOf(from, 0), begin, end,
                              e.constant(e.getI1Type(), 0));
      for (int64_t group : firsts) {
        Value isFirst = arith::CmpIOp::create(e, arith::CmpIPredicate::eq, from,
                                              e.index(0));
        Value comes = arith::CmpIOp::create(e, arith::CmpIPredicate::uge,
                                            tokens, e.index(group));
        Value to = arith::SelectOp::create(
            e, arith::AndIOp::create(e, isFirst, comes), e.index(group), from);
        forStepped(from, to, group, [&](Value local) {
          Value areAll =
              arith::CmpIOp::create(e, arith::CmpIPredicate::eq, tokens, to);
          products.addAndDecode(decoder, groupOf(local, group), begin, end,
                                areAll);
        });
        from = to;
      }
      // As many of the others as possible in large groups, which never cross a
      // group of words.
      for (int64_t group : panelGroups(input.target)) {
        Value rest = e.sub(tokens, from);
        Value to = e.add(from, e.mul(e.div(rest, group), group));
        forStepped(from, to, group, [&](Value local) {
          products.addPanel(groupOf(local, group), e.sub(end, begin));
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
