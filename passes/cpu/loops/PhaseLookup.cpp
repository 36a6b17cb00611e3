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
  return e.add(
      e.add(input.tile, e.mul(block, input.pack.matrix(0).blockBytes())),
      e.mul(set, kChunk));
}

void prefetch(Emitter &e, const PhaseInput &input, Value chunk) {
  e.prefetch(input.planes, e.add(chunk, input.aheadL2), 2);
  e.prefetch(input.planes, e.add(chunk, input.aheadL1), 3);
}

Values exactSums(Emitter &e, const PhaseInput &input, Value token,
                 const Span &span, ValueRange sums) {
  Value at = e.mul(e.add(e.mul(token, input.pack.spans()), span.index), 2);
  auto magnitude = [&](int part) {
    return e.splat(e.load(input.tables.magnitudes, e.add(at, part)));
  };
  if (input.pack.isReal) {
    Value both = e.add(sums[0], sums[1]);
    return {e.sub(e.add(both, both), e.add(magnitude(0), magnitude(1)))};
  }
  auto onAxis = [&](int part, bool imaginary) {
    Value p = sums[part], q = sums[2 + part];
    return imaginary ? e.sub(p, q) : e.sub(e.add(p, q), magnitude(part));
  };
  return {onAxis(0, false), onAxis(1, false), onAxis(0, true), onAxis(1, true)};
}

/// A scale of a set, or all 16 of one that has one for each row, as sums of the
/// type of `sum` are multiplied with.
static Value scaleOf(Emitter &e, const PhaseInput &input, Value set,
                     const Span &span, int64_t axis, Value sum) {
  const int64_t perSet = input.pack.scalesPerSet();
  Value at =
      e.add(input.tileScales,
            e.mul(e.add(e.mul(span.index, input.pack.sets()), set), perSet));
  if (perSet == kLanes)
    return e.loadVector(input.scales, at, kLanes, 64);
  Value scale = e.splat(e.load(input.scales, e.add(at, axis)));
  return scale.getType() == sum.getType() ? scale : e.toFloats(scale);
}

Values addTerm(Emitter &e, const PhaseInput &input, Value set,
               bool isConjugated, const Span &span, ValueRange exact,
               ValueRange y) {
  const SignPlanePack &pack = input.pack;
  const Values sums = llvm::map_to_vector(exact, [&](Value sum) {
    return pack.isOnGrid() ? sum : e.toFloats(sum);
  });
  auto scaled = [&](int sum, int64_t axis) -> Value {
    if (!pack.hasScales())
      return sums[sum];
    return e.mul(scaleOf(e, input, set, span, axis, sums[sum]), sums[sum]);
  };
  if (pack.isReal)
    return {e.add(y[0], scaled(0, 0))};
  enum { Ar, Ai, Br, Bi };
  Values before(y);
  if (pack.isBinaryOnGrid() && !isConjugated)
    // The stages so far weigh twice as much as the one that begins with U.
    for (Value &part : before)
      part = e.add(part, part);
  Value reAr = scaled(Ar, 0), imBi = scaled(Bi, 1);
  Value reAi = scaled(Ai, 0), imBr = scaled(Br, 1);
  if (isConjugated)
    return {e.add(before[0], e.add(reAr, imBi)),
            e.add(before[1], e.sub(imBr, reAi))};
  return {e.add(before[0], e.sub(reAr, imBi)),
          e.add(before[1], e.add(reAi, imBr))};
}

Values noTerms(Emitter &e, const PhaseInput &input, Value sum) {
  const bool isInteger =
      input.pack.isOnGrid() && getElementTypeOrSelf(sum).isInteger();
  return Values(input.pack.parts(), isInteger ? e.constant(e.ints(), 0)
                                              : e.constant(e.floats(), 0.0));
}

Values offGrid(Emitter &e, const PhaseInput &input, const Span &span,
               ValueRange terms) {
  Value unit;
  if (input.pack.isTiled())
    unit = e.splat(e.load(input.units, e.add(input.tileUnits, span.index)));
  return llvm::map_to_vector(terms, [&](Value term) {
    Value value = e.toFloats(term);
    return unit ? e.mul(value, unit) : value;
  });
}

/// The exact sums of all sets in a span, by the form of the target.
static SmallVector<Values> spanSums(Emitter &e, const PhaseInput &input,
                                    Value token, const Span &span,
                                    Value scratch) {
  SmallVector<Values> result;
  if (!input.usesTables()) {
    const bool isFloat =
        cast<MemRefType>(input.x.getType()).getElementType().isF32();
    for (int64_t set = 0; set < input.pack.sets(); ++set)
      result.push_back(isFloat ? floatSums(e, input, token, set, span)
                               : scalarSums(e, input, token, set, span));
    return result;
  }
  const Values sums = input.target.form == LookupForm::Quad
                          ? quadSums(e, input, token, span)
                          : laneSums(e, input, token, span, scratch);
  const int64_t perSet = sumsPerSet(input.pack);
  for (int64_t set = 0; set < input.pack.sets(); ++set)
    result.push_back(exactSums(e, input, token, span,
                               ValueRange(sums).slice(set * perSet, perSet)));
  return result;
}

/// for span: for set: term[set] += scale * exact sums
/// for set, from the first to the last: y += term[set]
static Values sumOfSets(Emitter &e, const PhaseInput &input, Value token,
                        Value scratch) {
  const int64_t parts = input.pack.parts(), sets = input.pack.sets();
  Value zero = e.constant(e.floats(), 0.0);
  const Values terms = forSpans(
      e, Spans(input.pack), Values(parts * sets, zero),
      [&](const Span &span, ValueRange carried) {
        const SmallVector<Values> sums =
            spanSums(e, input, token, span, scratch);
        Values next;
        for (int64_t set = 0; set < sets; ++set)
          llvm::append_range(next, addTerm(e, input, e.index(set),
                                           isConjugated(set), span, sums[set],
                                           carried.slice(set * parts, parts)));
        return next;
      });
  Values y(parts, zero);
  for (auto [i, term] : llvm::enumerate(terms))
    y[i % parts] = e.add(y[i % parts], term);
  return y;
}

/// for span:
///   terms = 0; for set: terms += integer * exact sums
///   y += terms * unit
static Values sumOnGrid(Emitter &e, const PhaseInput &input, Value token,
                        Value scratch) {
  Value zero = e.constant(e.floats(), 0.0);
  return forSpans(e, Spans(input.pack), Values(input.pack.parts(), zero),
                  [&](const Span &span, ValueRange carried) {
                    const SmallVector<Values> sums =
                        spanSums(e, input, token, span, scratch);
                    Values terms = noTerms(e, input, sums[0][0]);
                    for (int64_t set = 0; set < input.pack.sets(); ++set)
                      terms = addTerm(e, input, e.index(set), isConjugated(set),
                                      span, sums[set], terms);
                    Values y = offGrid(e, input, span, terms);
                    if (input.pack.isTiled())
                      for (auto [part, before] : llvm::zip(y, carried))
                        part = e.add(before, part);
                    return y;
                  });
}

SmallVector<int64_t> tokenGroups(const PhaseInput &input) {
  if (input.usesTables() && input.target.form == LookupForm::Quad)
    return {4, 2, 1};
  return {1};
}

Value sumScratch(Emitter &e, const PhaseInput &input, int64_t tokens) {
  const bool isLane =
      input.usesTables() && input.target.form == LookupForm::Lane;
  if (tokens == 1 && !isLane)
    return Value();
  // The quad form keeps terms of tiles, the lane form always sums.
  const bool isTiled = input.pack.isTiled() && !isLane;
  const bool isOnGrid = isTiled && input.pack.isOnGrid();
  // Of all sets; or y, and the spans of a panel.
  const int64_t groups = isOnGrid ? 1 + panelSpans(tokens) : input.pack.sets();
  const int64_t values =
      groups * tokens *
      (isTiled ? input.pack.parts() : sumsPerSet(input.pack)) * kLanes;
  Type type =
      isTiled && !isOnGrid ? Type(e.getF32Type()) : Type(e.getI32Type());
  return memref::AllocaOp::create(e, MemRefType::get({values}, type),
                                  e.getI64IntegerAttr(64));
}

void forEachToken(Emitter &e, const PhaseInput &input, Value first,
                  int64_t tokens, Value scratch,
                  function_ref<void(Value, Values)> body) {
  if (tokens > 1)
    return forEachTokenOfBatch(e, input, first, tokens, scratch, body);
  body(first, input.pack.isOnGrid() ? sumOnGrid(e, input, first, scratch)
                                    : sumOfSets(e, input, first, scratch));
}

} // namespace fairy2
