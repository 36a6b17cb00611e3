// SPDX-License-Identifier: Apache-2.0
//
// From look-ups to terms, and the vocabulary of the forms.
#include "passes/cpu/loops/PhaseLookup.h"

using namespace mlir;

namespace fairy2 {
SmallVector<Value>
forSpans(Emitter &e, const SignPlanePack &pack, ValueRange init,
         function_ref<SmallVector<Value>(Span, ValueRange)> body) {
  if (!pack.isTiled())
    return body({e.index(0), pack.columns}, init);
  const int64_t whole = pack.columns / kScaleTile;
  SmallVector<Value> values = e.forLoop(
      e.index(0), e.index(whole), 1, init, [&](Value span, ValueRange carried) {
        return body({span, kScaleTile}, carried);
      });
  if (pack.columns % kScaleTile)
    values = body({e.index(whole), pack.columns % kScaleTile}, values);
  return values;
}

Value firstBlock(Emitter &e, const Span &span) {
  return e.mul(span.index, kScaleTile / kBlock);
}

static Value andBytes(Emitter &e, Value v, int64_t mask) {
  return arith::AndIOp::create(e, v, e.constant(v.getType(), mask));
}

Value lowNibbles(Emitter &e, Value v) { return andBytes(e, v, 15); }

Value highNibbles(Emitter &e, Value v) {
  // The shift is on words: it is one instruction everywhere, bytes are not.
  const int64_t lanes = cast<VectorType>(v.getType()).getNumElements() / 4;
  Value words = e.bitcast(e.ints(lanes), v);
  Value shifted =
      arith::ShRUIOp::create(e, words, e.constant(e.ints(lanes), 4));
  return lowNibbles(e, e.bitcast(v.getType(), shifted));
}

Value tableAt(Emitter &e, const PhaseInput &input, Value token, Value block) {
  const int64_t blocks = input.pack.matrix(0).blocks();
  return e.mul(e.add(e.mul(token, blocks), block), kTableBytes);
}

Value wideBlock(Emitter &e, const PhaseInput &input, Value token, Value i) {
  const int64_t blocks = input.pack.matrix(0).blocks();
  return e.toIndex(
      e.load(input.arguments[WideList], e.add(e.mul(token, blocks), i)));
}

std::pair<Value, Value> wideRange(Emitter &e, const PhaseInput &input,
                                  Value token, const Span &span) {
  Value at = e.add(e.mul(token, input.pack.spans() + 1), span.index);
  Value starts = input.arguments[WideStarts];
  return {e.toIndex(e.load(starts, at)),
          e.toIndex(e.load(starts, e.add(at, 1)))};
}

Value chunkAt(Emitter &e, const PhaseInput &input, Value set, Value block) {
  return e.add(e.add(input.tile, e.mul(block, kChunk)),
               e.mul(set, input.pack.matrix(0).setBytes()));
}

void prefetch(Emitter &e, const PhaseInput &input, Value chunk, Value block,
              int64_t count) {
  const SignPlaneLayout matrix = input.pack.matrix(0);
  const int64_t blocks = matrix.blocks(), span = count * matrix.setBytes();
  for (auto [bytesAhead, level] : {std::pair{input.target.prefetchL2, 2},
                                   std::pair{input.target.prefetchL1, 3}}) {
    if (bytesAhead == 0)
      continue;
    const int64_t ahead = bytesAhead / (count * kChunk);
    const int64_t inTheseSets = ahead / blocks * span + ahead % blocks * kChunk;
    Value stays = arith::CmpIOp::create(e, arith::CmpIPredicate::ult, block,
                                        e.index(blocks - ahead % blocks));
    Value offset = arith::SelectOp::create(
        e, stays, e.index(inTheseSets),
        e.index(inTheseSets + span - matrix.setBytes()));
    e.prefetch(input.planes, e.add(chunk, offset), level);
  }
}

Values exactSums(Emitter &e, const PhaseInput &input, Value token,
                 const Span &span, ValueRange sums) {
  Value at = e.mul(e.add(e.mul(token, input.pack.spans()), span.index), 2);
  auto magnitude = [&](int part) {
    return e.splat(e.load(input.arguments[Magnitudes], e.add(at, part)));
  };
  auto toFloat = [&](Value exact) -> Value {
    return arith::SIToFPOp::create(e, e.floats(), exact);
  };
  if (input.pack.isReal) {
    Value both = e.add(sums[0], sums[1]);
    return {
        toFloat(e.sub(e.add(both, both), e.add(magnitude(0), magnitude(1))))};
  }
  auto onAxis = [&](int part, bool imaginary) {
    Value p = sums[part], q = sums[2 + part];
    return toFloat(imaginary ? e.sub(p, q)
                             : e.sub(e.add(p, q), magnitude(part)));
  };
  return {onAxis(0, false), onAxis(1, false), onAxis(0, true), onAxis(1, true)};
}

Values setTerm(Emitter &e, const PhaseInput &input, Value set,
               bool isConjugated, const Span &span, ValueRange sums) {
  const int64_t perSet = input.pack.scalesPerSet();
  Value at =
      e.add(input.tileScales,
            e.mul(e.add(e.mul(span.index, input.pack.sets()), set), perSet));
  if (perSet == kLanes) // One for each row.
    return {e.mul(e.loadVector(input.scales, at, kLanes, 64), sums[0])};
  auto scale = [&](int64_t axis) {
    return e.splat(e.load(input.scales, e.add(at, axis)));
  };
  if (input.pack.isReal)
    return {e.mul(scale(0), sums[0])};
  enum { Ar, Ai, Br, Bi };
  Value scaleRe = scale(0), scaleIm = scale(1);
  Value reAr = e.mul(scaleRe, sums[Ar]), imBi = e.mul(scaleIm, sums[Bi]);
  Value reAi = e.mul(scaleRe, sums[Ai]), imBr = e.mul(scaleIm, sums[Br]);
  if (isConjugated)
    return {e.add(reAr, imBi), e.sub(imBr, reAi)};
  return {e.sub(reAr, imBi), e.add(reAi, imBr)};
}

/// The terms of `count` sets from `first` on, span after span.
static SmallVector<Values>
setTerms(Emitter &e, const PhaseInput &input, int64_t first, int64_t count,
         function_ref<SmallVector<Values>(const Span &)> sumsOf) {
  const int64_t parts = input.pack.parts();
  Values zero(parts * count, e.constant(e.floats(), 0.0));
  const Values values =
      forSpans(e, input.pack, zero, [&](const Span &span, ValueRange carried) {
        const SmallVector<Values> sums = sumsOf(span);
        Values next;
        for (int64_t s = 0; s < count; ++s)
          for (Value part : setTerm(e, input, e.index(first + s),
                                    (first + s) % 2 == 1, span, sums[s]))
            next.push_back(e.add(carried[next.size()], part));
        return next;
      });
  SmallVector<Values> terms;
  for (int64_t s = 0; s < count; ++s)
    terms.emplace_back(ArrayRef(values).slice(s * parts, parts));
  return terms;
}

SmallVector<int64_t> tokenGroups(const PhaseInput &input, bool isInt8) {
  if (isInt8 && input.target.form == LookupForm::Quad)
    return {4, 2, 1};
  return {1};
}

Value sumScratch(Emitter &e, const PhaseInput &input, int64_t tokens) {
  if (tokens == 1)
    return Value();
  const bool isTiled = input.pack.isTiled();
  const int64_t values =
      input.pack.sets() * tokens *
      (isTiled ? input.pack.parts() : sumsPerSet(input.pack)) * kLanes;
  Type type = isTiled ? Type(e.getF32Type()) : Type(e.getI32Type());
  return memref::AllocaOp::create(e, MemRefType::get({values}, type),
                                  e.getI64IntegerAttr(64));
}

void forEachToken(Emitter &e, const PhaseInput &input, Value first,
                  int64_t tokens, Value scratch,
                  function_ref<void(Value, TermOfSet)> body) {
  if (tokens > 1)
    return forEachTokenOfBatch(e, input, first, tokens, scratch, body);
  const bool isFloat =
      cast<MemRefType>(input.arguments[0].getType()).getElementType().isF32();
  const bool isQuad = input.target.form == LookupForm::Quad;
  const int64_t perSet = sumsPerSet(input.pack);
  auto sumsOf = [&](int64_t set, int64_t count,
                    const Span &span) -> SmallVector<Values> {
    if (isFloat)
      return {floatSums(e, input, first, set, span)};
    if (input.target.form == LookupForm::Scalar)
      return {scalarSums(e, input, first, set, span)};
    const Values sums = isQuad ? quadSums(e, input, first, set, count, span)
                               : laneSums(e, input, first, set, span);
    SmallVector<Values> result;
    for (int64_t s = 0; s < count; ++s)
      result.push_back(exactSums(e, input, first, span,
                                 ValueRange(sums).slice(s * perSet, perSet)));
    return result;
  };
  // 4 sets of 4 sums are half of the 32 vector registers of AVX-512; the 16
  // registers of others hold the sums of one set.
  const int64_t together = isQuad && !isFloat ? 4 : 1;
  SmallVector<Values> terms;
  body(first, [&](int64_t set) {
    if (set % together == 0) {
      const int64_t count =
          std::min<int64_t>(together, input.pack.sets() - set);
      terms = setTerms(e, input, set, count, [&](const Span &span) {
        return sumsOf(set, count, span);
      });
    }
    return terms[set % together];
  });
}

} // namespace fairy2
