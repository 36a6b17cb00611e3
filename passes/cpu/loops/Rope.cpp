// SPDX-License-Identifier: Apache-2.0
//
// Rotary embedding.
#include "dialect/Fairy2ModelOps.h"
#include "passes/cpu/loops/Kernel.h"
#include "passes/cpu/loops/Lowerings.h"

#include "llvm/Support/FormatVariadic.h"

#include <cmath>

using namespace mlir;

namespace fairy2 {

/// A private constant table of float64, named after the kernel that reads it.
static Value constantTable(Emitter &e, StringRef suffix,
                           ArrayRef<double> values) {
  auto kernel = cast<func::FuncOp>(e.getInsertionBlock()->getParentOp());
  auto module = kernel->getParentOfType<ModuleOp>();
  auto type = MemRefType::get({int64_t(values.size())}, e.getF64Type());
  const std::string name = (kernel.getName() + suffix).str();
  OpBuilder builder(module.getBodyRegion());
  memref::GlobalOp::create(
      builder, e.getLoc(), name, builder.getStringAttr("private"), type,
      DenseElementsAttr::get(
          RankedTensorType::get(type.getShape(), e.getF64Type()), values),
      /*constant=*/true, builder.getI64IntegerAttr(64));
  return memref::GetGlobalOp::create(e, type, name);
}

/// The magnitude times cos and sin of the angles of positions 0, step, 2 step
/// .. [set of frequencies][position][cos | sin][frequency].
static std::vector<double> angleTable(ArrayRef<ArrayRef<float>> sets,
                                      int64_t positions, int64_t step,
                                      double magnitude) {
  std::vector<double> values;
  for (ArrayRef<float> frequencies : sets)
    for (int64_t p = 0; p < positions; ++p)
      for (double (*f)(double) :
           {(double (*)(double))std::cos, (double (*)(double))std::sin})
        for (float frequency : frequencies)
          values.push_back(magnitude * f(double(p * step) * double(frequency)));
  return values;
}

/// cos and sin of p f by the angle sum of p = a B + b: two small tables of
/// float64 instead of one row per position, and no library call.
///
/// parallel for token, at position p = positions[token]:
///   a = row p / B of the coarse table, b = row p % B of the fine one,
///     of the long frequencies if the context is longer than long_after
///   for j: out = (cos a cos b - sin a sin b | sin a cos b + cos a sin b)
template <> void lower(RopeTableOp op, LoopContext &context) {
  const int64_t half = int64_t(op.getInverseFrequencies().size());
  // Both tables have about the square root of the positions as rows.
  int64_t fine = 1;
  while (fine * fine < int64_t(op.getMaxPositions()))
    fine *= 2;
  const int64_t coarse = (int64_t(op.getMaxPositions()) + fine - 1) / fine;
  // Long frequencies follow the others in both tables.
  SmallVector<ArrayRef<float>> sets = {op.getInverseFrequencies()};
  if (op.getLongFrequencies())
    sets.push_back(*op.getLongFrequencies());
  Kernel kernel(context, op, llvm::formatv("rope_table_{0}", 2 * half));
  const Rows positions = kernel.rows(op.getPositions());
  const Rows out = kernel.rows(op.getResult());
  const Argument count = kernel.tokens(op.getPositions());
  const Argument contextLength = kernel.context();
  kernel.emit([&](Emitter &e) {
    Value coarseTable = constantTable(
        e, "_coarse",
        angleTable(sets, coarse, fine, op.getMagnitude().convertToFloat()));
    Value fineTable =
        constantTable(e, "_fine", angleTable(sets, fine, 1, /*magnitude=*/1));
    auto rowOf = [&](Value index, int64_t rows) {
      if (op.getLongAfter()) {
        Value isLong =
            arith::CmpIOp::create(e, arith::CmpIPredicate::ugt, contextLength,
                                  e.index(int64_t(*op.getLongAfter())));
        index = e.add(index, arith::SelectOp::create(e, isLong, e.index(rows),
                                                     e.index(0)));
      }
      return e.mul(index, 2 * half);
    };
    e.forall(count, [&](Value i) {
      Value position = e.toIndex(e.load(positions, i));
      Value coarseRow = rowOf(e.div(position, fine), coarse);
      Value fineRow = rowOf(e.rem(position, fine), fine);
      Value to = out.row(e, i);
      e.forLoop(e.index(0), e.index(half), [&](Value j) {
        auto entry = [&](Value table, Value row, int64_t shift) {
          return e.load(table, e.add(e.add(row, j), shift));
        };
        Value cosA = entry(coarseTable, coarseRow, 0);
        Value sinA = entry(coarseTable, coarseRow, half);
        Value cosB = entry(fineTable, fineRow, 0);
        Value sinB = entry(fineTable, fineRow, half);
        auto write = [&](Value value, int64_t shift) {
          e.store(arith::TruncFOp::create(e, e.getF32Type(), value), out,
                  e.add(e.add(to, j), shift));
        };
        write(e.sub(e.mul(cosA, cosB), e.mul(sinA, sinB)), 0);
        write(e.add(e.mul(sinA, cosB), e.mul(cosA, sinB)), half);
      });
    });
  });
}

/// parallel for (token, head):
///   for vector j of the turned half: x1, x2 = x[j], x[half + j]
///     out[j] = x1 cos - x2 sin, out[half + j] = x2 cos + x1 sin
///   the features behind the turned ones are copied
template <> void lower(RopeOp op, LoopContext &context) {
  const int64_t heads = int64_t(op.getHeads());
  const int64_t dim = featuresOf(op.getInput()) / heads;
  const int64_t turned = featuresOf(op.getTable()), half = turned / 2;
  const int64_t lanes = dividingLanes(half);
  Kernel kernel(context, op, llvm::formatv("rope_{0}x{1}", heads, dim));
  const Rows in = kernel.rows(op.getInput());
  const Rows table = kernel.rows(op.getTable());
  const Rows out = kernel.rows(op.getResult());
  const Argument count = kernel.tokens(op.getInput());
  kernel.emit([&](Emitter &e) {
    e.forall(e.mul(count, heads), [&](Value f) {
      Value i = e.div(f, heads), head = e.mul(e.rem(f, heads), dim);
      Value from = e.add(in.row(e, i), head);
      Value to = e.add(out.row(e, i), head);
      Value angles = table.row(e, i);
      e.forLoop(
          e.index(0), e.index(half), lanes, {},
          [&](Value j, ValueRange) -> SmallVector<Value> {
            auto load = [&](Value memref, Value base, int64_t shift) {
              return e.loadVector(memref, e.add(e.add(base, j), shift), lanes);
            };
            Value x1 = load(in, from, 0), x2 = load(in, from, half);
            Value cos = load(table, angles, 0), sin = load(table, angles, half);
            e.storeVector(e.sub(e.mul(x1, cos), e.mul(x2, sin)), out,
                          e.add(to, j));
            e.storeVector(e.add(e.mul(x2, cos), e.mul(x1, sin)), out,
                          e.add(e.add(to, j), half));
            return {};
          });
      e.forLoop(e.index(turned), e.index(dim), [&](Value j) {
        e.store(e.load(in, e.add(from, j)), out, e.add(to, j));
      });
    });
  });
}

} // namespace fairy2
