// SPDX-License-Identifier: Apache-2.0
//
// Kernels that work on one row at a time: embedding, normalization, gating,
// residual sums, int8 quantization of activations.
#include "dialect/Fairy2ModelOps.h"
#include "dialect/Fairy2PackedOps.h"
#include "dialect/Fairy2QuantizedOps.h"
#include "dialect/phase/Packing.h"
#include "passes/cpu/loops/Kernel.h"
#include "passes/cpu/loops/Lowerings.h"

#include "llvm/Support/FormatVariadic.h"

#include <cmath>
#include <numbers>

using namespace mlir;

namespace fairy2 {
namespace {

/// The stored rows of a dense pack.
struct DenseRows {
  Argument memref;
  int64_t stride; ///< elements from row to row
};

DenseRows denseRows(Kernel &kernel, PackOp pack) {
  RankedTensorType type = weightType(pack);
  const int64_t columns = type.getShape().back();
  const int64_t bytes = type.getElementTypeBitWidth() / 8;
  const DensePack layout{type.getNumElements() / columns, columns, bytes,
                         false};
  const int64_t stride = layout.rowBytes() / bytes;
  return {kernel.weights(pack, 0, type.getElementType(), layout.rows * stride),
          stride};
}

/// Shapes of an elementwise kernel: vectors of all rows are one long range, so
/// that a single token's row is shared by all threads.
void forallVectors(Emitter &e, Value tokens, int64_t features,
                   function_ref<void(Value token, Value offset)> body) {
  const int64_t perRow = roundUp(features, kLanes) / kLanes;
  e.forall(e.mul(tokens, perRow), [&](Value i) {
    body(e.div(i, perRow), e.mul(e.rem(i, perRow), kLanes));
  });
}

} // namespace

/// parallel for token:
///   copyRow(number of the table's row, first element of the result's row)
template <typename CopyRow>
static void forTokens(Kernel &kernel, EmbeddingOp op, const Rows &tokens,
                      CopyRow copyRow) {
  const Rows out = kernel.rows(op.getResult());
  const Argument count = kernel.tokens(op.getResult());
  kernel.emit([&](Emitter &e) {
    e.forall(count, [&](Value i) {
      copyRow(e, e.toIndex(e.load(tokens, i)), out, out.row(e, i));
    });
  });
}

/// for vector of the row: out = float32(row)
static void lowerDenseEmbedding(Kernel &kernel, EmbeddingOp op,
                                const Rows &tokens, PackOp pack) {
  const DenseRows table = denseRows(kernel, pack);
  forTokens(kernel, op, tokens,
            [&](Emitter &e, Value row, const Rows &out, Value to) {
              Value from = e.mul(row, table.stride);
              e.forLoop(e.index(0), e.index(out.features), kLanes, {},
                        [&](Value offset, ValueRange) -> SmallVector<Value> {
                          e.storeVector(
                              e.loadFloats(table.memref, e.add(from, offset)),
                              out, e.add(to, offset));
                          return {};
                        });
            });
}

/// The row is one of 16 of a tile, whose words of 4 columns take turns.
///
/// for vector of the row: out = float32(4 words) scale
static void lowerInt8Embedding(Kernel &kernel, EmbeddingOp op,
                               const Rows &tokens, PackOp pack) {
  constexpr int64_t tileRows = Int8Pack::kTileRows;
  constexpr int64_t vectorGroups = kLanes / Int8Pack::kGroupColumns;
  RankedTensorType type = weightType(pack);
  const Int8Pack layout{type.getDimSize(0), type.getDimSize(1)};
  Type i32 = IntegerType::get(op.getContext(), 32);
  const int64_t tileWords = layout.groups() * tileRows;
  const Argument words = kernel.weights(pack, layout.valueOffset(), i32,
                                        layout.tiles() * tileWords);
  const Argument scales =
      kernel.weights(pack, layout.scaleOffset(),
                     Float32Type::get(op.getContext()), layout.rows);
  forTokens(
      kernel, op, tokens,
      [&](Emitter &e, Value row, const Rows &out, Value to) {
        Value scale = e.splat(e.load(scales, row));
        Value from =
            e.add(e.mul(e.div(row, tileRows), tileWords), e.rem(row, tileRows));
        // Nothing is read past the tile's last group.
        auto copy = [&](Value group, int64_t groups) {
          Value first = e.add(from, e.mul(group, tileRows));
          SmallVector<Value> four(vectorGroups, e.constant(i32, 0));
          for (int64_t g = 0; g < groups; ++g)
            four[g] = e.load(words, e.add(first, g * tileRows));
          Value codes = e.bitcast(
              e.bytes(kLanes),
              vector::FromElementsOp::create(e, e.ints(vectorGroups), four));
          e.storeVector(e.mul(e.toFloats(codes), scale), out,
                        e.add(to, e.mul(group, Int8Pack::kGroupColumns)));
        };
        const int64_t whole = layout.groups() / vectorGroups * vectorGroups;
        e.forLoop(e.index(0), e.index(whole), vectorGroups, {},
                  [&](Value group, ValueRange) -> SmallVector<Value> {
                    copy(group, vectorGroups);
                    return {};
                  });
        if (whole < layout.groups())
          copy(e.index(whole), layout.groups() - whole);
      });
}

/// for 32 columns: 16 words = 16 bytes of the row, extended by their signs
///   out = float32(low nibbles of the words) scale
///   the next vector of out = float32(high nibbles) scale
static void lowerInt4Embedding(Kernel &kernel, EmbeddingOp op,
                               const Rows &tokens, PackOp pack) {
  RankedTensorType type = weightType(pack);
  const Int4Pack layout{type.getDimSize(0), type.getDimSize(1)};
  const Argument bytes = kernel.weights(pack, layout.valueOffset(),
                                        IntegerType::get(op.getContext(), 8),
                                        layout.rows * layout.rowBytes());
  const Argument scales =
      kernel.weights(pack, layout.scaleOffset(),
                     Float32Type::get(op.getContext()), layout.rows);
  forTokens(
      kernel, op, tokens,
      [&](Emitter &e, Value row, const Rows &out, Value to) {
        Value scale = e.splat(e.load(scales, row));
        Value from = e.mul(row, layout.rowBytes());
        auto copy = [&](Value group, bool hasHigh) {
          Value pairs = arith::ExtSIOp::create(
              e, e.ints(),
              e.loadVector(bytes,
                           e.add(from, e.mul(group, Int4Pack::kGroupBytes)),
                           kLanes));
          Value at = e.add(to, e.mul(group, Int4Pack::kGroupColumns));
          auto store = [&](Value codes, int64_t offset) {
            e.storeVector(
                e.mul(arith::SIToFPOp::create(e, e.floats(), codes), scale),
                out, e.add(at, offset));
          };
          Value top = e.constant(e.ints(), 28);
          store(arith::ShRSIOp::create(e, arith::ShLIOp::create(e, pairs, top),
                                       top),
                0);
          if (hasHigh)
            store(arith::ShRSIOp::create(e, pairs, e.constant(e.ints(), 4)),
                  kLanes);
        };
        // The last vector may be past the row that is written.
        const bool isOdd =
            roundUp(out.features, kLanes) % Int4Pack::kGroupColumns;
        const int64_t whole = layout.groups() - isOdd;
        e.forLoop(e.index(0), e.index(whole),
                  [&](Value group) { copy(group, /*hasHigh=*/true); });
        if (isOdd)
          copy(e.index(whole), /*hasHigh=*/false);
      });
}

template <> void lower(EmbeddingOp op, LoopContext &context) {
  Kernel kernel(context, op,
                llvm::formatv("embedding_{0}", featuresOf(op.getResult())));
  const Rows tokens = kernel.rows(op.getTokens());
  PackOp pack = kernel.pack(op.getWeightAttr());
  switch (pack.getKind()) {
  case PackingKind::Dense:
    return lowerDenseEmbedding(kernel, op, tokens, pack);
  case PackingKind::Int8:
    return lowerInt8Embedding(kernel, op, tokens, pack);
  case PackingKind::Int4:
    return lowerInt4Embedding(kernel, op, tokens, pack);
  case PackingKind::SignPlanes:
  case PackingKind::RealSignPlanes:
    llvm_unreachable("the verifier lets no embedding read planes");
  }
}

/// parallel for (row, vector): out[row] = in[rows[row]]
template <> void lower(GatherRowsOp op, LoopContext &context) {
  Kernel kernel(context, op,
                llvm::formatv("gather_rows_{0}", featuresOf(op.getInput())));
  const Rows in = kernel.rows(op.getInput());
  const Rows rows = kernel.rows(op.getRows());
  const Rows out = kernel.rows(op.getResult());
  const Argument count = kernel.tokens(op.getResult());
  kernel.emit([&](Emitter &e) {
    forallVectors(e, count, in.features, [&](Value i, Value offset) {
      Value row = e.toIndex(e.load(rows, i));
      e.storeVector(e.loadVector(in, e.add(in.row(e, row), offset), kLanes),
                    out, e.add(out.row(e, i), offset));
    });
  });
}

/// The sum of the squares of a row of `features` values: 128 sums, each of
/// every 128th square, added as a tree. One chain of sums per lane would wait
/// for every addition, and leave a GPU's threads without work.
///
/// for walk: for 128 values: the walk's sums += x^2 (as many sums at once as
/// the
///   CPU's registers hold: the others do not depend on them)
/// for vector of the rest: sum[vector mod 8] += x^2
template <typename Load>
static Value sumOfSquares(Emitter &e, int64_t features, int64_t together,
                          Load load) {
  constexpr int64_t vectors = 8, chunk = vectors * kLanes;
  auto addSquare = [&](Value sum, Value x) {
    Value square = e.mul(x, x);
    return sum ? e.add(sum, square) : square;
  };
  Values sums(vectors);
  const int64_t whole = features / chunk * chunk;
  if (whole)
    for (int64_t v = 0; v < vectors; v += together) {
      const Values zeros(together, e.constant(e.floats(), 0.0));
      const Values walked = e.forLoop(
          e.index(0), e.index(whole), chunk, zeros,
          [&](Value offset, ValueRange carried) {
            Values next(carried);
            for (int64_t k = 0; k < together; ++k)
              next[k] = addSquare(
                  next[k], load(e.add(offset, (v + k) * kLanes), Value()));
            return next;
          });
      llvm::copy(walked, sums.begin() + v);
    }
  for (int64_t at = whole; at < features; at += kLanes) {
    Value &sum = sums[(at - whole) / kLanes];
    sum = addSquare(sum, load(e.index(at), e.lanesBelow(features - at)));
  }
  // Of a short row only the first sums exist.
  for (int64_t count = vectors / 2; count > 0; count /= 2)
    for (int64_t v = 0; v < count; ++v)
      if (sums[v + count])
        sums[v] = e.add(sums[v], sums[v + count]);
  return e.treeSum(sums[0]);
}

/// parallel for (token, head):
///   scale = 1 / sqrt(sum of squares / features + epsilon)
///   for vector: out = x scale w, or x scale (w + 1)
template <> void lower(RmsNormOp op, LoopContext &context) {
  const int64_t heads = int64_t(op.getHeads());
  const int64_t features = featuresOf(op.getInput()) / heads;
  const double epsilon = op.getEpsilon().convertToDouble();
  Kernel kernel(context, op,
                llvm::formatv("rms_norm_{0}x{1}", heads, features));
  const Rows in = kernel.rows(op.getInput());
  const DenseRows weight = denseRows(kernel, kernel.pack(op.getWeightAttr()));
  const Rows out = kernel.rows(op.getResult());
  const Argument count = kernel.tokens(op.getResult());
  // Half of 16 registers hold sums.
  const int64_t together = kernel.target().lookupBytes / 8;
  kernel.emit([&](Emitter &e) {
    e.forall(e.mul(count, heads), [&](Value f) {
      Value i = e.div(f, heads), head = e.mul(e.rem(f, heads), features);
      Value from = e.add(in.row(e, i), head);
      Value to = e.add(out.row(e, i), head);
      Value squares =
          sumOfSquares(e, features, together, [&](Value offset, Value mask) {
            return e.keep(e.loadVector(in, e.add(from, offset), kLanes), mask);
          });
      Type f32 = e.getF32Type();
      Value mean = e.div(squares, e.constant(f32, double(features)));
      Value scale = e.splat(e.div(
          e.constant(f32, 1.0),
          math::SqrtOp::create(e, e.add(mean, e.constant(f32, epsilon)))));
      e.forRow(features, {},
               [&](Value offset, Value mask, ValueRange) -> SmallVector<Value> {
                 Value x = e.loadVector(in, e.add(from, offset), kLanes);
                 Value w = e.loadFloats(weight.memref, offset);
                 if (op.getUnitOffset())
                   w = e.add(w, e.constant(e.floats(), 1.0));
                 Value y = e.mul(e.mul(x, scale), w);
                 Value at = e.add(to, offset);
                 // What follows the last vector of a head is the next one's.
                 const int64_t rest = features % kLanes;
                 if (!mask || heads == 1)
                   e.storeVector(y, out, at);
                 else
                   for (int64_t lane = 0; lane < rest; ++lane)
                     e.store(vector::ExtractOp::create(e, y, lane), out,
                             e.add(at, lane));
                 return {};
               });
    });
  });
}

/// parallel for (token, vector): out = lhs + rhs
template <> void lower(arith::AddFOp op, LoopContext &context) {
  Kernel kernel(context, op,
                llvm::formatv("add_{0}", featuresOf(op.getResult())));
  const Rows lhs = kernel.rows(op.getLhs()), rhs = kernel.rows(op.getRhs());
  const Rows out = kernel.rows(op.getResult());
  const Argument count = kernel.tokens(op.getResult());
  kernel.emit([&](Emitter &e) {
    forallVectors(e, count, out.features, [&](Value i, Value offset) {
      auto load = [&](const Rows &rows) {
        return e.loadVector(rows, e.add(rows.row(e, i), offset), kLanes);
      };
      Value sum = e.add(load(lhs), load(rhs));
      e.storeVector(sum, out, e.add(out.row(e, i), offset));
    });
  });
}

/// parallel for (token, vector): out = factor in
template <> void lower(ScaleOp op, LoopContext &context) {
  Kernel kernel(context, op,
                llvm::formatv("scale_{0}", featuresOf(op.getResult())));
  const Rows in = kernel.rows(op.getInput()), out = kernel.rows(op.getResult());
  const Argument count = kernel.tokens(op.getResult());
  kernel.emit([&](Emitter &e) {
    Value factor = e.constant(e.floats(), op.getFactor().convertToDouble());
    forallVectors(e, count, out.features, [&](Value i, Value offset) {
      Value x = e.loadVector(in, e.add(in.row(e, i), offset), kLanes);
      e.storeVector(e.mul(x, factor), out, e.add(out.row(e, i), offset));
    });
  });
}

/// Works in place, on logits: their rows are not padded, so they are one run
/// of values, and the values after the last whole vector are done one by one.
///
/// parallel for 16 values:
///   if whole: out = cap tanh(out / cap)
///   else the same for each value of the rest
template <> void lower(SoftCapOp op, LoopContext &context) {
  const double cap = op.getCap().convertToDouble();
  Kernel kernel(context, op,
                llvm::formatv("soft_cap_{0}", featuresOf(op.getResult())));
  const Rows logits = kernel.rows(op.getResult());
  const Argument count = kernel.tokens(op.getResult());
  kernel.emit([&](Emitter &e) {
    Value values = e.mul(count, logits.features);
    e.forall(e.div(e.add(values, kLanes - 1), kLanes), [&](Value i) {
      Value begin = e.mul(i, kLanes);
      Value end = arith::MinUIOp::create(e, e.add(begin, kLanes), values);
      Value whole = e.mul(e.div(e.sub(end, begin), kLanes), kLanes);
      Value rest = e.add(begin, whole);
      e.forLoop(begin, rest, kLanes, {},
                [&](Value at, ValueRange) -> SmallVector<Value> {
                  e.storeVector(
                      e.softCap(e.loadVector(logits, at, kLanes), cap), logits,
                      at);
                  return {};
                });
      e.forLoop(rest, end, [&](Value at) {
        e.store(e.softCap(e.load(logits, at), cap), logits, at);
      });
    });
  });
}

/// What is left of `gate` after the sigmoid of `x`: gate / (1 + exp(-x)).
static Value timesSigmoid(Emitter &e, Value gate, Value x) {
  Value exp = math::ExpOp::create(e, arith::NegFOp::create(e, x));
  return e.div(gate, e.add(e.constant(e.floats(), 1.0), exp));
}

static Value activate(Emitter &e, GateKind kind, Value gate) {
  switch (kind) {
  case GateKind::Silu:
    return timesSigmoid(e, gate, gate);
  case GateKind::GeluTanh: {
    // (1 + tanh(u)) / 2 is the sigmoid of 2 u.
    Value cube = e.mul(e.mul(gate, gate), gate);
    Value u =
        e.mul(e.add(gate, e.mul(cube, e.constant(e.floats(), 0.044715))),
              e.constant(e.floats(), 2 * std::sqrt(2 / std::numbers::pi)));
    return timesSigmoid(e, gate, u);
  }
  }
  llvm_unreachable("all kinds are handled");
}

/// parallel for (token, vector): out = activation(gate) up
template <> void lower(GatedActivationOp op, LoopContext &context) {
  Kernel kernel(context, op,
                llvm::formatv("{0}_{1}", stringifyGateKind(op.getKind()),
                              featuresOf(op.getResult())));
  const Rows gate = kernel.rows(op.getGate()), up = kernel.rows(op.getUp());
  const Rows out = kernel.rows(op.getResult());
  const Argument count = kernel.tokens(op.getResult());
  kernel.emit([&](Emitter &e) {
    forallVectors(e, count, out.features, [&](Value i, Value offset) {
      auto load = [&](const Rows &rows) {
        return e.loadVector(rows, e.add(rows.row(e, i), offset), kLanes);
      };
      Value g = load(gate), u = load(up);
      e.storeVector(e.mul(activate(e, op.getKind(), g), u), out,
                    e.add(out.row(e, i), offset));
    });
  });
}

/// parallel for token:
///   largest = max |x| over the row
///   scales[token] = largest / 127
///   for vector: values = round(x 127 / largest), zero where largest is
template <> void lower(QuantizeActivationsOp op, LoopContext &context) {
  Kernel kernel(context, op,
                llvm::formatv("quantize_{0}", featuresOf(op.getInput())));
  const Rows in = kernel.rows(op.getInput());
  const Rows values = kernel.rows(op.getValues());
  const Rows scales = kernel.rows(op.getScales());
  const Argument count = kernel.tokens(op.getInput());
  kernel.emit([&](Emitter &e) {
    e.forall(count, [&](Value i) {
      Value from = in.row(e, i), to = values.row(e, i);
      auto load = [&](Value offset, Value mask) {
        return e.keep(e.loadVector(in, e.add(from, offset), kLanes), mask);
      };
      Value largest = e.forRow(
          in.features, {e.constant(e.floats(), 0.0)},
          [&](Value offset, Value mask, ValueRange max) -> SmallVector<Value> {
            Value x = load(offset, mask);
            return {e.maximum(max[0], math::AbsFOp::create(e, x))};
          })[0];
      Value most = vector::ReductionOp::create(
          e, vector::CombiningKind::MAXNUMF, largest);
      const auto [scale, inverse] = e.int8Scale(most);
      e.store(scale, scales, i);
      e.forRow(in.features, {},
               [&](Value offset, Value mask, ValueRange) -> SmallVector<Value> {
                 e.storeVector(e.toInt8(load(offset, mask), inverse), values,
                               e.add(to, offset));
                 return {};
               });
    });
  });
}

} // namespace fairy2
