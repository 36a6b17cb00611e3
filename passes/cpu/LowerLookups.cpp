// SPDX-License-Identifier: Apache-2.0
//
// Instructions for look-ups, byte sums and halves.
#include "dialect/Fairy2LoopOps.h"
#include "passes/Passes.h"
#include "passes/cpu/CpuTarget.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/DialectConversion.h"

using namespace mlir;

namespace fairy2 {

#define GEN_PASS_DEF_FAIRY2LOWERLOOKUPSPASS
#include "passes/Passes.h.inc"

namespace {

Value constant(ImplicitLocOpBuilder &b, VectorType type, int64_t value) {
  return arith::ConstantOp::create(
      b, DenseElementsAttr::get(
             type, b.getIntegerAttr(type.getElementType(), value)));
}

Value intrinsic(ImplicitLocOpBuilder &b, StringRef name, Type result,
                ValueRange operands) {
  return LLVM::CallIntrinsicOp::create(b, result, b.getStringAttr(name),
                                       operands)
      .getResult(0);
}

/// What a CPU offers for 16-entry tables in every lane of `bytes` bytes.
StringRef laneLookup(const CpuTarget &target, int64_t bytes) {
  if (target.machine() == "aarch64")
    return bytes == 16 ? "llvm.aarch64.neon.tbl1.v16i8" : "";
  if (bytes == 16)
    return "llvm.x86.ssse3.pshuf.b.128";
  if (bytes == 32 && target.llvmCpu != "x86-64-v2")
    return "llvm.x86.avx2.pshuf.b";
  if (bytes == 64 && target.llvmCpu == "x86-64-v4")
    return "llvm.x86.avx512.pshuf.b.512";
  return "";
}

/// Products of pairs of bytes, and sums of pairs of their results.
struct PairInstructions {
  StringRef dot2, sum2;
};

/// Null where the CPU has none for vectors of `bytes` bytes.
const PairInstructions *pairInstructions(const CpuTarget &target,
                                         int64_t bytes) {
  static const PairInstructions of32{"llvm.x86.avx2.pmadd.ub.sw",
                                     "llvm.x86.avx2.pmadd.wd"};
  static const PairInstructions of64{"llvm.x86.avx512.pmaddubs.w.512",
                                     "llvm.x86.avx512.pmaddw.d.512"};
  if (bytes == 32 && target.required.contains("avx2"))
    return &of32;
  if (bytes == 64 && target.llvmCpu == "x86-64-v4")
    return &of64;
  return nullptr;
}

/// A pattern that asks what the CPU can do.
template <typename Op> struct TargetPattern : OpConversionPattern<Op> {
  TargetPattern(MLIRContext *context, const CpuTarget &target)
      : OpConversionPattern<Op>(context), target(target) {}

  const CpuTarget &target;
};

struct LowerTableLookup : TargetPattern<TableLookupOp> {
  using TargetPattern::TargetPattern;

  LogicalResult
  matchAndRewrite(TableLookupOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    VectorType type = op.getTable().getType();
    Value index = adaptor.getIndex();
    if (op.getLanes() == LookupLanes::Quad) {
      // The table's number joins the index as bits 4 and 5.
      SmallVector<int8_t> numbers;
      for (int64_t i = 0; i < type.getNumElements(); ++i)
        numbers.push_back(int8_t(i % 4 * 16));
      index = arith::OrIOp::create(
          b, index,
          arith::ConstantOp::create(
              b, DenseElementsAttr::get(type, ArrayRef<int8_t>(numbers))));
      if (target.features.contains("+avx512vbmi")) {
        rewriter.replaceOp(op, intrinsic(b, "llvm.x86.avx512.permvar.qi.512",
                                         type, {adaptor.getTable(), index}));
        return success();
      }
    } else if (StringRef name = laneLookup(target, type.getNumElements());
               !name.empty()) {
      rewriter.replaceOp(op,
                         intrinsic(b, name, type, {adaptor.getTable(), index}));
      return success();
    }
    rewriter.replaceOp(op, generic(b, op, adaptor.getTable(), index));
    return success();
  }

private:
  /// Byte by byte; correct everywhere, recognised by LLVM in good cases.
  static Value generic(ImplicitLocOpBuilder &b, TableLookupOp op, Value table,
                       Value index) {
    VectorType type = op.getTable().getType();
    SmallVector<Value> found;
    for (int64_t i = 0; i < type.getNumElements(); ++i) {
      Value at = arith::IndexCastUIOp::create(
          b, b.getIndexType(), vector::ExtractOp::create(b, index, i));
      if (op.getLanes() == LookupLanes::Lane && i >= 16)
        at = arith::AddIOp::create(
            b, at, arith::ConstantIndexOp::create(b, i / 16 * 16));
      found.push_back(vector::ExtractOp::create(b, table, OpFoldResult(at)));
    }
    return vector::FromElementsOp::create(b, type, found);
  }
};

/// Byte `place` of each 32-bit lane, extended to 32 bits.
Value byteOfLane(ImplicitLocOpBuilder &b, Value words, int64_t place,
                 bool isSigned) {
  auto type = cast<VectorType>(words.getType());
  if (!isSigned) {
    Value shifted =
        arith::ShRUIOp::create(b, words, constant(b, type, 8 * place));
    return arith::AndIOp::create(b, shifted, constant(b, type, 255));
  }
  Value top =
      arith::ShLIOp::create(b, words, constant(b, type, 24 - 8 * place));
  return arith::ShRSIOp::create(b, top, constant(b, type, 24));
}

struct LowerSum4Accumulate : TargetPattern<Sum4AccumulateOp> {
  using TargetPattern::TargetPattern;

  LogicalResult
  matchAndRewrite(Sum4AccumulateOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    VectorType sums = op.getAccumulator().getType();
    VectorType bytes = op.getBytes().getType();
    const CpuTarget::Dot4 *dot4 = target.dot4();
    if (dot4 && !dot4->hasSignedLhs && bytes.getNumElements() == dot4->bytes) {
      rewriter.replaceOp(
          op, intrinsic(b, dot4->intrinsic, sums,
                        {adaptor.getAccumulator(), adaptor.getBytes(),
                         constant(b, bytes, int64_t(op.getFactor()))}));
      return success();
    }
    Value words = vector::BitCastOp::create(b, sums, adaptor.getBytes());
    Value four;
    for (int64_t place = 0; place < 4; ++place) {
      Value byte = byteOfLane(b, words, place, false);
      four = four ? arith::AddIOp::create(b, four, byte) : byte;
    }
    if (op.getFactor() != 1)
      four = arith::MulIOp::create(b, four,
                                   constant(b, sums, int64_t(op.getFactor())));
    rewriter.replaceOpWithNewOp<arith::AddIOp>(op, adaptor.getAccumulator(),
                                               four);
    return success();
  }
};

struct LowerDot4Accumulate : TargetPattern<Dot4AccumulateOp> {
  using TargetPattern::TargetPattern;

  LogicalResult
  matchAndRewrite(Dot4AccumulateOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    const CpuTarget::Dot4 *dot4 = target.dot4();
    const int64_t bytes = op.getLhs().getType().getNumElements();
    if (dot4 && bytes % dot4->bytes == 0 &&
        dot4->hasSignedLhs == op.getSignedLhs()) {
      rewriter.replaceOp(op, inPieces(b, *dot4, adaptor));
      return success();
    }
    VectorType sums = op.getAccumulator().getType();
    Value lhs = vector::BitCastOp::create(b, sums, adaptor.getLhs());
    Value rhs = vector::BitCastOp::create(b, sums, adaptor.getRhs());
    Value total = adaptor.getAccumulator();
    for (int64_t place = 0; place < 4; ++place)
      total = arith::AddIOp::create(
          b, total,
          arith::MulIOp::create(b, byteOfLane(b, lhs, place, op.getSignedLhs()),
                                byteOfLane(b, rhs, place, true)));
    rewriter.replaceOp(op, total);
    return success();
  }

private:
  static Value inPieces(ImplicitLocOpBuilder &b, const CpuTarget::Dot4 &dot4,
                        OpAdaptor adaptor) {
    const Value operands[] = {adaptor.getAccumulator(), adaptor.getLhs(),
                              adaptor.getRhs()};
    const int64_t bytes =
        cast<VectorType>(operands[1].getType()).getNumElements();
    const VectorType piece = VectorType::get({dot4.bytes / 4}, b.getI32Type());
    if (bytes == dot4.bytes)
      return intrinsic(b, dot4.intrinsic, piece, operands);
    Value result = operands[0];
    for (int64_t at = 0; at < bytes; at += dot4.bytes) {
      auto slice = [&](Value vector, int64_t perByte) -> Value {
        return vector::ExtractStridedSliceOp::create(b, vector, at / perByte,
                                                     dot4.bytes / perByte, 1);
      };
      Value sums = intrinsic(b, dot4.intrinsic, piece,
                             {slice(operands[0], 4), slice(operands[1], 1),
                              slice(operands[2], 1)});
      result = vector::InsertStridedSliceOp::create(
          b, sums, result, ArrayRef<int64_t>{at / 4}, ArrayRef<int64_t>{1});
    }
    return result;
  }
};

/// The even elements of a vector plus the odd ones.
Value sumOfPairs(ImplicitLocOpBuilder &b, Value pairs) {
  auto split = vector::DeinterleaveOp::create(b, pairs);
  return arith::AddIOp::create(b, split.getRes1(), split.getRes2());
}

struct LowerDot2 : TargetPattern<Dot2Op> {
  using TargetPattern::TargetPattern;

  LogicalResult
  matchAndRewrite(Dot2Op op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    VectorType type = op.getLhs().getType();
    if (const PairInstructions *found =
            pairInstructions(target, type.getNumElements())) {
      rewriter.replaceOp(op, intrinsic(b, found->dot2, op.getResult().getType(),
                                       {adaptor.getLhs(), adaptor.getRhs()}));
      return success();
    }
    VectorType wide = type.clone(b.getI16Type());
    rewriter.replaceOp(
        op,
        sumOfPairs(b, arith::MulIOp::create(
                          b, arith::ExtUIOp::create(b, wide, adaptor.getLhs()),
                          arith::ExtSIOp::create(b, wide, adaptor.getRhs()))));
    return success();
  }
};

struct LowerSum2Accumulate : TargetPattern<Sum2AccumulateOp> {
  using TargetPattern::TargetPattern;

  LogicalResult
  matchAndRewrite(Sum2AccumulateOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    VectorType type = op.getPairs().getType();
    Value sums;
    if (const PairInstructions *found =
            pairInstructions(target, 2 * type.getNumElements()))
      sums = intrinsic(b, found->sum2, op.getResult().getType(),
                       {adaptor.getPairs(), constant(b, type, 1)});
    else
      sums = sumOfPairs(b, arith::ExtSIOp::create(b, type.clone(b.getI32Type()),
                                                  adaptor.getPairs()));
    rewriter.replaceOpWithNewOp<arith::AddIOp>(op, adaptor.getAccumulator(),
                                               sums);
    return success();
  }
};

bool isHalf(Value value) {
  auto type = dyn_cast<VectorType>(value.getType());
  return type && type.getElementType().isF16();
}

/// Vectors of words and the operations on them that conversions are made of.
struct Words {
  Words(Location loc, OpBuilder &builder, VectorType like)
      : b(loc, builder), ints(like.clone(builder.getI32Type())),
        floats(like.clone(builder.getF32Type())),
        halves(like.clone(builder.getI16Type())) {}

  Value constant(int64_t value) { return ::fairy2::constant(b, ints, value); }
  Value real(float value) {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(floats, value));
  }
  Value bitcast(VectorType type, Value v) {
    return arith::BitcastOp::create(b, type, v);
  }

  ImplicitLocOpBuilder b;
  VectorType ints, floats, halves;
};

/// Exponent and mantissa move to their places in a float32 whose exponent is
/// then 112 too small; a product repairs that exactly, for subnormals as well.
/// For finite halves.
struct ExpandHalfToFloat : OpConversionPattern<arith::ExtFOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(arith::ExtFOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Words w(op.getLoc(), rewriter, cast<VectorType>(op.getType()));
    Value bits = arith::ExtUIOp::create(w.b, w.ints,
                                        w.bitcast(w.halves, adaptor.getIn()));
    auto field = [&](int64_t mask, int64_t shift) -> Value {
      return arith::ShLIOp::create(
          w.b, arith::AndIOp::create(w.b, bits, w.constant(mask)),
          w.constant(shift));
    };
    Value magnitude = arith::MulFOp::create(
        w.b, w.bitcast(w.floats, field(0x7fff, 13)), w.real(0x1p112f));
    Value all = arith::OrIOp::create(w.b, w.bitcast(w.ints, magnitude),
                                     field(0x8000, 16));
    rewriter.replaceOp(op, w.bitcast(w.floats, all));
    return success();
  }
};

/// Rounds to nearest, ties to even, for magnitudes up to the largest half.
struct ExpandFloatToHalf : OpConversionPattern<arith::TruncFOp> {
  using OpConversionPattern::OpConversionPattern;

  LogicalResult
  matchAndRewrite(arith::TruncFOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Words w(op.getLoc(), rewriter, cast<VectorType>(op.getType()));
    Value bits = w.bitcast(w.ints, adaptor.getIn());
    auto shiftRight = [&](Value v, int64_t by) -> Value {
      return arith::ShRUIOp::create(w.b, v, w.constant(by));
    };
    auto both = [&](Value v, int64_t mask) -> Value {
      return arith::AndIOp::create(w.b, v, w.constant(mask));
    };
    Value magnitude = both(bits, 0x7fffffff);
    // Normal halves: the exponent's offset falls by 112; adding just under
    // half a unit, or exactly half before an odd digit, rounds.
    Value odd = both(shiftRight(magnitude, 13), 1);
    Value rounded = arith::AddIOp::create(
        w.b, magnitude,
        arith::AddIOp::create(w.b, odd,
                              w.constant(0xfff - (int64_t(112) << 23))));
    Value normal = shiftRight(rounded, 13);
    // Below 2^-14, adding 1/2 leaves 2^-24, a half's smallest step, as the last
    // digit of the sum, and the addition rounds.
    Value half = w.real(0.5f);
    Value sum =
        arith::AddFOp::create(w.b, w.bitcast(w.floats, magnitude), half);
    Value subnormal = arith::SubIOp::create(w.b, w.bitcast(w.ints, sum),
                                            w.bitcast(w.ints, half));
    Value isNormal =
        arith::CmpIOp::create(w.b, arith::CmpIPredicate::uge, magnitude,
                              w.constant(int64_t(113) << 23));
    Value result = arith::OrIOp::create(
        w.b, arith::SelectOp::create(w.b, isNormal, normal, subnormal),
        shiftRight(both(bits, int64_t(0x80000000)), 16));
    rewriter.replaceOp(
        op, w.bitcast(w.halves.clone(w.b.getF16Type()),
                      arith::TruncIOp::create(w.b, w.halves, result)));
    return success();
  }
};

struct LowerLookups : impl::Fairy2LowerLookupsPassBase<LowerLookups> {
  using Base::Base;

  void runOnOperation() override {
    const CpuTarget *target = requireCpuTarget(getOperation(), cpu);
    if (!target)
      return signalPassFailure();
    ConversionTarget legal(getContext());
    legal.addIllegalOp<TableLookupOp, Sum4AccumulateOp, Dot4AccumulateOp,
                       Dot2Op, Sum2AccumulateOp>();
    legal.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    legal.addDynamicallyLegalOp<arith::ExtFOp>([&](arith::ExtFOp op) {
      return target->convertsHalves() || !isHalf(op.getIn());
    });
    legal.addDynamicallyLegalOp<arith::TruncFOp>([&](arith::TruncFOp op) {
      return target->convertsHalves() || !isHalf(op.getOut());
    });
    RewritePatternSet patterns(&getContext());
    patterns.add<LowerTableLookup, LowerSum4Accumulate, LowerDot4Accumulate,
                 LowerDot2, LowerSum2Accumulate>(&getContext(), *target);
    patterns.add<ExpandHalfToFloat, ExpandFloatToHalf>(&getContext());
    if (failed(
            applyPartialConversion(getOperation(), legal, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
} // namespace fairy2
