// SPDX-License-Identifier: Apache-2.0
//
// Losses with their gradients, and the gradients' norm, as bodies.
#pragma once

#include "trainer/cuda/Blocks.h"

namespace fairy2::trainer {

/// What softmax(x / temperature) needs to know of a row.
struct SoftmaxRow {
  float most, factor, sum;

  FAIRY2_HOST_DEVICE float probability(float logit) const {
    return softmaxTerm(logit, most, factor) * (1.f / sum);
  }
  FAIRY2_HOST_DEVICE float logOfSum() const {
    return logSum(most, factor, sum);
  }
};
/// In one pass: threads sum over the largest that they have met so far.
template <int width, typename Block>
FAIRY2_HOST_DEVICE SoftmaxRow softmaxRow(Block &block, const float *logits,
                                         int64_t n, float factor) {
  typename Block::template Local<float> most(block), sum(block);
  block.each([&](int t) {
    most[t] = logits[0];
    forRowPart<width>(block, t, n, [&](int64_t i) {
      const Pack<width> pack = load<width>(logits + i);
      float largest = most[t];
      for (int k = 0; k < width; ++k)
        largest = Larger()(largest, pack.v[k]);
      if (largest > most[t]) {
        sum[t] *= softmaxTerm(most[t], largest, factor);
        most[t] = largest;
      }
      for (int k = 0; k < width; ++k)
        sum[t] += softmaxTerm(pack.v[k], largest, factor);
    });
  });
  const float all = block.reduce([&](int t) { return most[t]; }, Larger());
  return {all, factor,
          block.reduce(
              [&](int t) { return sum[t] * softmaxTerm(most[t], all, factor); },
              Add())};
}

/// Body::ofRow<width>(block, call, logits, target, gradient) for rows with a
/// target; others have no gradient and no loss, as Body::clearLosses says.
template <typename Body> struct LossBody : RowBody<Body> {
  template <typename Call>
  FAIRY2_HOST_DEVICE static int64_t columns(const Call &c) {
    return c.vocab;
  }
  template <int width, typename Block, typename Call>
  FAIRY2_HOST_DEVICE static void inPacks(Block &block, const Call &c) {
    const float *logits = c.logits + block.index * c.vocab;
    auto *gradient = c.gradient + block.index * c.vocab;
    const int64_t target = c.targets[block.index];
    if (target != c.ignored) {
      Body::template ofRow<width>(block, c, logits, target, gradient);
      return;
    }
    forRow<width>(block, c.vocab,
                  [&](int64_t i) { store(Pack<width>{}, gradient + i); });
    block.each([&](int t) {
      if (t == 0)
        Body::clearLosses(c, block.index);
    });
  }
};

struct CrossEntropyBody : LossBody<CrossEntropyBody> {
  template <typename T>
  FAIRY2_HOST_DEVICE static void clearLosses(const CrossEntropyCall<T> &c,
                                             int64_t row) {
    c.losses[row] = 0;
  }
  template <int width, typename Block, typename T>
  FAIRY2_HOST_DEVICE static void
  ofRow(Block &block, const CrossEntropyCall<T> &c, const float *logits,
        int64_t target, T *gradient) {
    const SoftmaxRow row = softmaxRow<width>(block, logits, c.vocab, 1.f);
    block.each([&](int t) {
      if (t == 0)
        c.losses[block.index] = double(row.logOfSum()) - double(logits[target]);
    });
    forRow<width>(block, c.vocab, [&](int64_t i) {
      Pack<width> pack = load<width>(logits + i);
      for (int k = 0; k < width; ++k)
        pack.v[k] = row.probability(pack.v[k]) - (i + k == target ? 1.f : 0.f);
      store(pack, gradient + i);
    });
  }
};

struct DistillBody : LossBody<DistillBody> {
  template <typename T>
  FAIRY2_HOST_DEVICE static void clearLosses(const DistillCall<T> &c,
                                             int64_t row) {
    c.losses[row] = c.plain[row] = 0;
  }
  template <int width, typename Block, typename T>
  FAIRY2_HOST_DEVICE static void ofRow(Block &block, const DistillCall<T> &c,
                                       const float *logits, int64_t target,
                                       T *gradient) {
    const float *wanted = c.teacher + block.index * c.vocab;
    const float factor = 1.f / c.temperature, weight = c.weight;
    const SoftmaxRow hard = softmaxRow<width>(block, logits, c.vocab, 1.f),
                     soft = softmaxRow<width>(block, logits, c.vocab, factor),
                     teacher =
                         softmaxRow<width>(block, wanted, c.vocab, factor);
    const double divergence =
        rowSum<width, double>(block, c.vocab, [&](int64_t i) {
          const Pack<width> own = load<width>(logits + i),
                            other = load<width>(wanted + i);
          double sum = 0;
          for (int k = 0; k < width; ++k)
            sum += double(teacher.probability(other.v[k])) *
                   ((double(other.v[k]) * factor - double(teacher.logOfSum())) -
                    (double(own.v[k]) * factor - double(soft.logOfSum())));
          return sum;
        });
    block.each([&](int t) {
      if (t != 0)
        return;
      const double plain = double(hard.logOfSum()) - double(logits[target]);
      c.plain[block.index] = plain;
      c.losses[block.index] =
          (1 - double(weight)) * plain +
          double(weight) * c.temperature * c.temperature * divergence;
    });
    forRow<width>(block, c.vocab, [&](int64_t i) {
      Pack<width> pack = load<width>(logits + i);
      const Pack<width> other = load<width>(wanted + i);
      for (int k = 0; k < width; ++k)
        pack.v[k] =
            (1.f - weight) *
                (hard.probability(pack.v[k]) - (i + k == target ? 1.f : 0.f)) +
            weight * c.temperature *
                (soft.probability(pack.v[k]) - teacher.probability(other.v[k]));
      store(pack, gradient + i);
    });
  }
};

struct SumOfSquaresBody {
  static GridShape grid(const SumOfSquaresCall &) {
    return {SumOfSquaresCall::kParts, 256};
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const SumOfSquaresCall &c) {
    const int64_t begin = c.n * block.index / SumOfSquaresCall::kParts,
                  end = c.n * (block.index + 1) / SumOfSquaresCall::kParts;
    const double sum = rowSum<1, double>(block, end - begin, [&](int64_t i) {
      return double(c.x[begin + i]) * double(c.x[begin + i]);
    });
    block.each([&](int t) {
      if (t == 0)
        c.parts[block.index] = sum;
    });
  }
};

} // namespace fairy2::trainer
