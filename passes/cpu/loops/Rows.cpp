// SPDX-License-Identifier: Apache-2.0
//
// Kernels that work on one row at a time: embedding, normalization, gating,
// residual sums, int8 quantization of activations.
#include "dialect/phase/Packing.h"
#include "passes/cpu/loops/LoopContext.h"

#include "llvm/Support/FormatVariadic.h"

#include <cmath>
#include <numbers>

using namespace mlir;

namespace fairy2 {
namespace {

std::string typeName(Type type) {
  std::string name;
  llvm::raw_string_ostream(name) << type;
  return name;
}

/// The stored rows of a dense pack, and elements from row to row.
struct DenseRows {
  Value memref;
  int64_t stride;
  Type element;
};

DenseRows denseRows(PackOp pack, LoopContext &context) {
  RankedTensorType type = context.weightType(pack);
  const int64_t columns = type.getShape().back();
  const int64_t bytes = type.getElementTypeBitWidth() / 8;
  const DensePack layout{type.getNumElements() / columns, columns, bytes,
                         false};
  const int64_t stride = layout.rowBytes() / bytes;
  return {context.weights(pack, 0, type.getElementType(), layout.rows * stride),
          stride, type.getElementType()};
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

void lowerEmbedding(EmbeddingOp op, LoopContext &context) {
  const DenseRows table = denseRows(context.pack(op.getWeightAttr()), context);
  const Buffer &out = context.buffer(op.getResult());
  const int64_t features = featuresOf(op.getResult());
  context.call(
      op.getLoc(),
      llvm::formatv("embedding_{0}_{1}_{2}", features, out.stride,
                    typeName(table.element)),
      {context.view(op.getTokens()), table.memref, context.view(op.getResult()),
       context.tokenCount(op.getResult())},
      [&](Emitter &e, ValueRange a) {
        e.forall(a[3], [&](Value i) {
          Value from = e.mul(e.toIndex(e.load(a[0], i)), table.stride);
          Value to = e.mul(i, out.stride);
          e.forLoop(e.index(0), e.index(features), kLanes, {},
                    [&](Value offset, ValueRange) -> SmallVector<Value> {
                      e.storeVector(e.loadFloats(a[1], e.add(from, offset)),
                                    a[2], e.add(to, offset));
                      return {};
                    });
        });
      });
}

void lowerGatherRows(GatherRowsOp op, LoopContext &context) {
  const Buffer &in = context.buffer(op.getInput());
  const Buffer &out = context.buffer(op.getResult());
  const int64_t features = featuresOf(op.getInput());
  context.call(
      op.getLoc(),
      llvm::formatv("gather_rows_{0}_{1}_{2}", features, in.stride, out.stride),
      {context.view(op.getInput()), context.view(op.getRows()),
       context.view(op.getResult()), context.tokenCount(op.getResult())},
      [&](Emitter &e, ValueRange a) {
        forallVectors(e, a[3], features, [&](Value i, Value offset) {
          Value row = e.toIndex(e.load(a[1], i));
          e.storeVector(
              e.loadVector(a[0], e.add(e.mul(row, in.stride), offset), kLanes),
              a[2], e.add(e.mul(i, out.stride), offset));
        });
      });
}

void lowerRmsNorm(RmsNormOp op, LoopContext &context) {
  const DenseRows weight = denseRows(context.pack(op.getWeightAttr()), context);
  const Buffer &in = context.buffer(op.getInput());
  const Buffer &out = context.buffer(op.getResult());
  const int64_t heads = int64_t(op.getHeads());
  const int64_t features = featuresOf(op.getInput()) / heads;
  const double epsilon = op.getEpsilon().convertToDouble();
  context.call(
      op.getLoc(),
      llvm::formatv("rms_norm_{0}x{1}_{2}_{3}_{4}{5}_{6}", heads, features,
                    in.stride, out.stride, typeName(weight.element),
                    op.getUnitOffset() ? "_plus1" : "",
                    bitsOf(op.getEpsilon())),
      {context.view(op.getInput()), weight.memref, context.view(op.getResult()),
       context.tokenCount(op.getInput())},
      [&](Emitter &e, ValueRange a) {
        e.forall(e.mul(a[3], heads), [&](Value f) {
          Value i = e.div(f, heads), head = e.mul(e.rem(f, heads), features);
          Value from = e.add(e.mul(i, in.stride), head);
          Value to = e.add(e.mul(i, out.stride), head);
          Value squares = e.forRow(
              features, {e.constant(e.floats(), 0.0)},
              [&](Value offset, Value mask,
                  ValueRange sum) -> SmallVector<Value> {
                Value x = e.keep(
                    e.loadVector(a[0], e.add(from, offset), kLanes), mask);
                return {e.add(sum[0], e.mul(x, x))};
              })[0];
          Type f32 = e.getF32Type();
          Value mean =
              e.div(e.treeSum(squares), e.constant(f32, double(features)));
          Value scale = e.splat(e.div(
              e.constant(f32, 1.0),
              math::SqrtOp::create(e, e.add(mean, e.constant(f32, epsilon)))));
          e.forRow(
              features, {},
              [&](Value offset, Value mask, ValueRange) -> SmallVector<Value> {
                Value x = e.loadVector(a[0], e.add(from, offset), kLanes);
                Value w = e.loadFloats(a[1], offset);
                if (op.getUnitOffset())
                  w = e.add(w, e.constant(e.floats(), 1.0));
                Value y = e.mul(e.mul(x, scale), w);
                Value at = e.add(to, offset);
                // What follows the last vector of a head is the next one's.
                const int64_t rest = features % kLanes;
                if (!mask || heads == 1)
                  e.storeVector(y, a[2], at);
                else
                  for (int64_t lane = 0; lane < rest; ++lane)
                    e.store(vector::ExtractOp::create(e, y, lane), a[2],
                            e.add(at, lane));
                return {};
              });
        });
      });
}

void lowerAdd(arith::AddFOp op, LoopContext &context) {
  const Buffer &lhs = context.buffer(op.getLhs());
  const Buffer &rhs = context.buffer(op.getRhs());
  const Buffer &out = context.buffer(op.getResult());
  const int64_t features = featuresOf(op.getResult());
  context.call(op.getLoc(),
               llvm::formatv("add_{0}_{1}_{2}_{3}", features, lhs.stride,
                             rhs.stride, out.stride),
               {context.view(op.getLhs()), context.view(op.getRhs()),
                context.view(op.getResult()),
                context.tokenCount(op.getResult())},
               [&](Emitter &e, ValueRange a) {
                 forallVectors(e, a[3], features, [&](Value i, Value offset) {
                   auto at = [&](const Buffer &b) {
                     return e.add(e.mul(i, b.stride), offset);
                   };
                   e.storeVector(e.add(e.loadVector(a[0], at(lhs), kLanes),
                                       e.loadVector(a[1], at(rhs), kLanes)),
                                 a[2], at(out));
                 });
               });
}

void lowerScale(ScaleOp op, LoopContext &context) {
  const Buffer &in = context.buffer(op.getInput());
  const Buffer &out = context.buffer(op.getResult());
  const int64_t features = featuresOf(op.getResult());
  context.call(op.getLoc(),
               llvm::formatv("scale_{0}_{1}_{2}_{3}", features, in.stride,
                             out.stride, bitsOf(op.getFactor())),
               {context.view(op.getInput()), context.view(op.getResult()),
                context.tokenCount(op.getResult())},
               [&](Emitter &e, ValueRange a) {
                 Value factor =
                     e.constant(e.floats(), op.getFactor().convertToDouble());
                 forallVectors(e, a[2], features, [&](Value i, Value offset) {
                   Value x = e.loadVector(
                       a[0], e.add(e.mul(i, in.stride), offset), kLanes);
                   e.storeVector(e.mul(x, factor), a[1],
                                 e.add(e.mul(i, out.stride), offset));
                 });
               });
}

/// Works in place, on logits: their rows are not padded, so they are one run
/// of values, and the values after the last whole vector are done one by one.
void lowerSoftCap(SoftCapOp op, LoopContext &context) {
  const int64_t features = featuresOf(op.getResult());
  const double cap = op.getCap().convertToDouble();
  context.call(
      op.getLoc(),
      llvm::formatv("soft_cap_{0}_{1}", features, bitsOf(op.getCap())),
      {context.view(op.getResult()), context.tokenCount(op.getResult())},
      [&](Emitter &e, ValueRange a) {
        Value values = e.mul(a[1], features);
        e.forall(e.div(e.add(values, kLanes - 1), kLanes), [&](Value i) {
          Value begin = e.mul(i, kLanes);
          Value end = arith::MinUIOp::create(e, e.add(begin, kLanes), values);
          Value whole = e.mul(e.div(e.sub(end, begin), kLanes), kLanes);
          Value rest = e.add(begin, whole);
          e.forLoop(begin, rest, kLanes, {},
                    [&](Value at, ValueRange) -> SmallVector<Value> {
                      e.storeVector(
                          e.softCap(e.loadVector(a[0], at, kLanes), cap), a[0],
                          at);
                      return {};
                    });
          e.forLoop(rest, end, [&](Value at) {
            e.store(e.softCap(e.load(a[0], at), cap), a[0], at);
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

void lowerGatedActivation(GatedActivationOp op, LoopContext &context) {
  const Buffer &gate = context.buffer(op.getGate());
  const Buffer &up = context.buffer(op.getUp());
  const Buffer &out = context.buffer(op.getResult());
  const int64_t features = featuresOf(op.getResult());
  context.call(
      op.getLoc(),
      llvm::formatv("{0}_{1}_{2}_{3}_{4}", stringifyGateKind(op.getKind()),
                    features, gate.stride, up.stride, out.stride),
      {context.view(op.getGate()), context.view(op.getUp()),
       context.view(op.getResult()), context.tokenCount(op.getResult())},
      [&](Emitter &e, ValueRange a) {
        forallVectors(e, a[3], features, [&](Value i, Value offset) {
          auto at = [&](const Buffer &b) {
            return e.add(e.mul(i, b.stride), offset);
          };
          Value g = e.loadVector(a[0], at(gate), kLanes);
          Value u = e.loadVector(a[1], at(up), kLanes);
          e.storeVector(e.mul(activate(e, op.getKind(), g), u), a[2], at(out));
        });
      });
}

void lowerQuantizeActivations(QuantizeActivationsOp op, LoopContext &context) {
  const Buffer &in = context.buffer(op.getInput());
  const Buffer &out = context.buffer(op.getValues());
  const int64_t features = featuresOf(op.getInput());
  context.call(
      op.getLoc(),
      llvm::formatv("quantize_{0}_{1}_{2}", features, in.stride, out.stride),
      {context.view(op.getInput()), context.view(op.getValues()),
       context.view(op.getScales()), context.tokenCount(op.getInput())},
      [&](Emitter &e, ValueRange a) {
        e.forall(a[3], [&](Value i) {
          Value from = e.mul(i, in.stride), to = e.mul(i, out.stride);
          Value zero = e.constant(e.floats(), 0.0);
          Value largest = e.forRow(
              features, {zero},
              [&](Value offset, Value mask,
                  ValueRange max) -> SmallVector<Value> {
                Value x = e.keep(
                    e.loadVector(a[0], e.add(from, offset), kLanes), mask);
                return {e.maximum(max[0], math::AbsFOp::create(e, x))};
              })[0];
          Value most = vector::ReductionOp::create(
              e, vector::CombiningKind::MAXNUMF, largest);
          const auto [scale, inverse] = e.int8Scale(most);
          e.store(scale, a[2], i);
          e.forRow(
              features, {},
              [&](Value offset, Value mask, ValueRange) -> SmallVector<Value> {
                Value x = e.keep(
                    e.loadVector(a[0], e.add(from, offset), kLanes), mask);
                e.storeVector(e.toInt8(x, inverse), a[1], e.add(to, offset));
                return {};
              });
        });
      });
}

} // namespace fairy2
