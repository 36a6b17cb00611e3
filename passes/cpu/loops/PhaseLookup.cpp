// SPDX-License-Identifier: Apache-2.0
//
// From look-ups to terms, and the vocabulary of the forms.
#include "passes/cpu/loops/PhaseLookup.h"

using namespace mlir;

namespace fairy2 {
Values forSpans(Emitter &e, const Spans &spans, ValueRange init,
                function_ref<Values(Span, ValueRange)> body) {
  if (!spans.isTiled)
    return body({e.index(0), spans.columns}, init);
  Values values = e.forLoop(e.index(0), e.index(spans.whole()), 1, init,
                            [&](Value span, ValueRange carried) {
                              return body({span, kScaleTile}, carried);
                            });
  if (spans.rest())
    values = body({e.index(spans.whole()), spans.rest()}, values);
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
      e.load(input.tables.wideList, e.add(e.mul(token, blocks), i)));
}

std::pair<Value, Value> wideRange(Emitter &e, const PhaseInput &input,
                                  Value token, const Span &span) {
  Value at = e.add(e.mul(token, input.pack.spans() + 1), span.index);
  Value starts = input.tables.wideStarts;
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
    return e.splat(e.load(input.tables.magnitudes, e.add(at, part)));
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

/// The exact sums of a group of sets, by the form of the target.
static SmallVector<Values> groupSums(Emitter &e, const PhaseInput &input,
                                     Value token, const SetGroup &group,
                                     const Span &span) {
  if (!input.usesTables()) {
    assert(group.count == 1 && "sums without tables are those of one set");
    const bool isFloat =
        cast<MemRefType>(input.x.getType()).getElementType().isF32();
    return {isFloat ? floatSums(e, input, token, group.first, span)
                    : scalarSums(e, input, token, group.first, span)};
  }
  const Values sums = input.target.form == LookupForm::Quad
                          ? quadSums(e, input, token, group, span)
                          : laneSums(e, input, token, group.first, span);
  const int64_t perSet = sumsPerSet(input.pack);
  SmallVector<Values> result;
  for (int64_t s = 0; s < group.count; ++s)
    result.push_back(exactSums(e, input, token, span,
                               ValueRange(sums).slice(s * perSet, perSet)));
  return result;
}

/// for span: for set of the group: term[set] += scale * exact sums
static SmallVector<Values> groupTerms(Emitter &e, const PhaseInput &input,
                                      Value token, const SetGroup &group) {
  const int64_t parts = input.pack.parts();
  Values zero(parts * group.count, e.constant(e.floats(), 0.0));
  const Values values = forSpans(
      e, Spans(input.pack), zero, [&](const Span &span, ValueRange carried) {
        const SmallVector<Values> sums =
            groupSums(e, input, token, group, span);
        Values next;
        for (int64_t s = 0; s < group.count; ++s) {
          const int64_t set = group.first + s;
          for (Value part : setTerm(e, input, e.index(set), isConjugated(set),
                                    span, sums[s]))
            next.push_back(e.add(carried[next.size()], part));
        }
        return next;
      });
  SmallVector<Values> terms;
  for (int64_t s = 0; s < group.count; ++s)
    terms.emplace_back(ArrayRef(values).slice(s * parts, parts));
  return terms;
}

/// for group of sets, from the first to the last:
///   terms = walk over the row's spans and blocks
///   for set of the group: y += its term
static Values sumOfSets(Emitter &e, const PhaseInput &input, Value token) {
  // 4 sets of 4 sums are half of the 32 vector registers of AVX-512; the 16
  // registers of others hold the sums of one set.
  const bool isQuad = input.target.form == LookupForm::Quad;
  const int64_t together = isQuad && input.usesTables() ? 4 : 1;
  Values y(input.pack.parts(), e.constant(e.floats(), 0.0));
  for (int64_t set = 0; set < input.pack.sets(); set += together) {
    const SetGroup group{set,
                         std::min<int64_t>(together, input.pack.sets() - set)};
    for (const Values &terms : groupTerms(e, input, token, group))
      for (auto [sum, term] : llvm::zip(y, terms))
        sum = e.add(sum, term);
  }
  return y;
}

SmallVector<int64_t> tokenGroups(const PhaseInput &input) {
  if (input.usesTables() && input.target.form == LookupForm::Quad)
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
                  function_ref<void(Value, Values)> body) {
  if (tokens > 1)
    return forEachTokenOfBatch(e, input, first, tokens, scratch, body);
  body(first, sumOfSets(e, input, first));
}

} // namespace fairy2
