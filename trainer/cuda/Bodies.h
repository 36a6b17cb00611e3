// SPDX-License-Identifier: Apache-2.0
//
// The kernels of DeviceKernels.h as a grid of blocks of threads, written once
// for CUDA (Kernels.cu) and for the tests' serial execution on a CPU
// (test/unit/trainer/SerialKernels.cpp). A body runs for one block; Block
// provides
//   index, threads          the block's number, and its threads: a multiple of
//   32 each(f)                 f(t) for all threads, and a barrier reduce(f,
//   op)           op over f(t) of all threads, in a fixed order Local<T> a T
//   per thread, that lives from one each() to another shared<T>() the block's
//   shared memory lower(place, value)     *place = min(*place, value),
//   atomically
// Each body states the grid that it needs.
#pragma once

#include "trainer/kernels/DeviceKernels.h"
#include "trainer/kernels/Formulas.h"

namespace fairy2 {

struct GridShape {
  int64_t blocks;
  int threads;
  int64_t sharedBytes = 0;
};

struct Add {
  template <typename T> FAIRY2_HOST_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};
struct Larger {
  template <typename T> FAIRY2_HOST_DEVICE T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

constexpr int kWarp = 32;

inline int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// A thread per element.
inline GridShape elementGrid(int64_t count) {
  constexpr int kThreads = 256;
  return {ceilDivide(count, kThreads), kThreads};
}
/// A block per row, whose threads have a few elements each.
inline GridShape rowGrid(int64_t rows, int64_t n) {
  constexpr int64_t kEach = 4, kMost = 512;
  const int64_t threads = ceilDivide(n, kEach * kWarp) * kWarp;
  return {rows, int(threads < kMost ? threads : kMost)};
}

/// f(i) for the element that a thread of an elementGrid(count) has.
template <typename Block, typename F>
FAIRY2_HOST_DEVICE void forElement(Block &block, int64_t count, const F &f) {
  block.each([&](int t) {
    const int64_t i = block.index * block.threads + t;
    if (i < count)
      f(i);
  });
}
/// f(i) for the elements i < n of a row that thread t has.
template <typename Block, typename F>
FAIRY2_HOST_DEVICE void forRowPart(const Block &block, int t, int64_t n,
                                   const F &f) {
  for (int64_t i = t; i < n; i += block.threads)
    f(i);
}
template <typename Block, typename F>
FAIRY2_HOST_DEVICE void forRow(Block &block, int64_t n, const F &f) {
  block.each([&](int t) { forRowPart(block, t, n, f); });
}
/// The sum, in T, of f(i) over a row.
template <typename T, typename Block, typename F>
FAIRY2_HOST_DEVICE T rowSum(Block &block, int64_t n, const F &f) {
  return block.reduce(
      [&](int t) {
        T sum = 0;
        forRowPart(block, t, n, [&](int64_t i) { sum += T(f(i)); });
        return sum;
      },
      Add());
}
/// The largest f(i) over a row, at least `least`.
template <typename T, typename Block, typename F>
FAIRY2_HOST_DEVICE T rowLargest(Block &block, int64_t n, T least, const F &f) {
  return block.reduce(
      [&](int t) {
        T most = least;
        forRowPart(block, t, n,
                   [&](int64_t i) { most = Larger()(most, T(f(i))); });
        return most;
      },
      Larger());
}

struct NormBody {
  static GridShape grid(const NormCall &c) { return rowGrid(c.rows, c.n); }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const NormCall &c) {
    const int64_t row = block.index * c.n;
    const float squares = rowSum<float>(block, c.n, [&](int64_t i) {
      float x = c.x[row + i];
      if (c.delta)
        c.sum[row + i] = x += c.delta[row + i];
      return x * x;
    });
    const float *x = c.delta ? c.sum : c.x;
    const float inverse = inverseNorm(squares, c.n, c.epsilon);
    forRow(block, c.n, [&](int64_t i) {
      c.y[row + i] = x[row + i] * inverse * c.weight[i];
    });
    block.each([&](int t) {
      if (t == 0)
        c.inverses[block.index] = inverse;
    });
  }
};

struct NormBackwardBody {
  static GridShape grid(const NormBackwardCall &c) {
    return rowGrid(c.rows, c.n);
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const NormBackwardCall &c) {
    const int64_t row = block.index * c.n;
    const float *x = c.x + row, *dy = c.dy + row;
    const float dot = rowSum<float>(
        block, c.n, [&](int64_t i) { return dy[i] * c.weight[i] * x[i]; });
    const float inverse = c.inverses[block.index];
    const float factor = normFactor(dot, inverse, c.n);
    forRow(block, c.n, [&](int64_t i) {
      const float dx = normGradient(x[i], c.weight[i], dy[i], inverse, factor);
      c.dx[row + i] = c.dSum ? dx + c.dSum[row + i] : dx;
    });
  }
};

/// A thread per column and piece of rows.
struct NormWeightBody {
  static constexpr int kThreads = 128;

  static GridShape grid(const NormBackwardCall &c) {
    return {NormBackwardCall::kPieces * ceilDivide(c.n, kThreads), kThreads};
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const NormBackwardCall &c) {
    constexpr int64_t pieces = NormBackwardCall::kPieces;
    const int64_t piece = block.index % pieces;
    const int64_t begin = c.rows * piece / pieces,
                  end = c.rows * (piece + 1) / pieces;
    block.each([&](int t) {
      const int64_t column = block.index / pieces * kThreads + t;
      if (column >= c.n)
        return;
      float sum = 0;
      for (int64_t row = begin; row < end; ++row)
        sum += c.dy[row * c.n + column] * c.x[row * c.n + column] *
               c.inverses[row];
      c.dWeightPieces[piece * c.n + column] = sum;
    });
  }
};

struct GatedBody {
  static GridShape grid(const GatedCall &c) { return elementGrid(c.n); }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const GatedCall &c) {
    forElement(block, c.n,
               [&](int64_t i) { c.y[i] = gated(c.gate[i], c.up[i]); });
  }
};

struct GatedBackwardBody {
  static GridShape grid(const GatedBackwardCall &c) { return elementGrid(c.n); }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const GatedBackwardCall &c) {
    forElement(block, c.n, [&](int64_t i) {
      const GatedGradient gradient = gatedGradient(c.gate[i], c.up[i], c.dy[i]);
      c.dGate[i] = gradient.gate;
      c.dUp[i] = gradient.up;
    });
  }
};

struct FakeQuantizeBody {
  static GridShape grid(const FakeQuantizeCall &c) {
    return rowGrid(c.rows, c.n);
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const FakeQuantizeCall &c) {
    const int64_t row = block.index * c.n;
    const int32_t bits = rowLargest<int32_t>(
        block, c.n, 0, [&](int64_t i) { return magnitudeBits(c.x[row + i]); });
    const RowQuantizer quantizer = rowQuantizer(bits);
    forRow(block, c.n, [&](int64_t i) {
      c.y[row + i] = fakeQuantized(c.x[row + i], quantizer);
    });
  }
};

struct RotateBody {
  FAIRY2_HOST_DEVICE static int64_t pairs(const RotateCall &c) {
    return c.tokens * c.heads * (c.dim / 2);
  }
  static GridShape grid(const RotateCall &c) { return elementGrid(pairs(c)); }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const RotateCall &c) {
    const int64_t half = c.dim / 2;
    forElement(block, pairs(c), [&](int64_t i) {
      const int64_t head = i / half, j = i % half;
      const float *angles = c.angles + head / c.heads * c.dim;
      const int64_t at = head * c.dim + j;
      const RotatedPair pair = rotated(c.x[at], c.x[at + half], angles[j],
                                       c.sign * angles[half + j]);
      c.y[at] = pair.a;
      c.y[at + half] = pair.b;
    });
  }
};

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
template <typename Block>
FAIRY2_HOST_DEVICE SoftmaxRow softmaxRow(Block &block, const float *logits,
                                         int64_t n, float most, float factor) {
  return {most, factor, rowSum<float>(block, n, [&](int64_t i) {
            return softmaxTerm(logits[i], most, factor);
          })};
}
template <typename Block>
FAIRY2_HOST_DEVICE float rowLargest(Block &block, const float *logits,
                                    int64_t n) {
  return rowLargest<float>(block, n, logits[0],
                           [&](int64_t i) { return logits[i]; });
}

struct CrossEntropyBody {
  static GridShape grid(const CrossEntropyCall &c) {
    return rowGrid(c.rows, c.vocab);
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const CrossEntropyCall &c) {
    float *logits = c.logits + block.index * c.vocab;
    const int64_t target = c.targets[block.index];
    if (target == c.ignored) {
      forRow(block, c.vocab, [&](int64_t i) { logits[i] = 0; });
      block.each([&](int t) {
        if (t == 0)
          c.losses[block.index] = 0;
      });
      return;
    }
    const SoftmaxRow row = softmaxRow(block, logits, c.vocab,
                                      rowLargest(block, logits, c.vocab), 1.f);
    block.each([&](int t) {
      if (t == 0)
        c.losses[block.index] = double(row.logOfSum()) - double(logits[target]);
    });
    forRow(block, c.vocab, [&](int64_t i) {
      logits[i] = row.probability(logits[i]) - (i == target ? 1.f : 0.f);
    });
  }
};

struct DistillBody {
  static GridShape grid(const DistillCall &c) {
    return rowGrid(c.rows, c.vocab);
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const DistillCall &c) {
    float *logits = c.logits + block.index * c.vocab;
    const float *wanted = c.teacher + block.index * c.vocab;
    const int64_t target = c.targets[block.index];
    if (target == c.ignored) {
      forRow(block, c.vocab, [&](int64_t i) { logits[i] = 0; });
      block.each([&](int t) {
        if (t == 0)
          c.losses[block.index] = c.plain[block.index] = 0;
      });
      return;
    }
    const float factor = 1.f / c.temperature, weight = c.weight;
    const float most = rowLargest(block, logits, c.vocab);
    const SoftmaxRow hard = softmaxRow(block, logits, c.vocab, most, 1.f),
                     soft = softmaxRow(block, logits, c.vocab, most, factor),
                     teacher =
                         softmaxRow(block, wanted, c.vocab,
                                    rowLargest(block, wanted, c.vocab), factor);
    const double divergence = rowSum<double>(block, c.vocab, [&](int64_t i) {
      const float p = teacher.probability(wanted[i]);
      return double(p) *
             ((double(wanted[i]) * factor - double(teacher.logOfSum())) -
              (double(logits[i]) * factor - double(soft.logOfSum())));
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
    forRow(block, c.vocab, [&](int64_t i) {
      const float gradient =
          hard.probability(logits[i]) - (i == target ? 1.f : 0.f);
      logits[i] =
          (1.f - weight) * gradient +
          weight * c.temperature *
              (soft.probability(logits[i]) - teacher.probability(wanted[i]));
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
    const double sum = rowSum<double>(block, end - begin, [&](int64_t i) {
      return double(c.x[begin + i]) * double(c.x[begin + i]);
    });
    block.each([&](int t) {
      if (t == 0)
        c.parts[block.index] = sum;
    });
  }
};

} // namespace fairy2
