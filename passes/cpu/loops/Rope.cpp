// SPDX-License-Identifier: Apache-2.0
//
// Rotary embedding.
#include "passes/cpu/loops/LoopContext.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/xxhash.h"

#include <cmath>

using namespace mlir;

namespace fairy2 {

/// A private constant table of float64.
static Value constantTable(Emitter &e, ModuleOp module, StringRef name,
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

} // namespace fairy2
