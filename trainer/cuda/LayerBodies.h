// SPDX-License-Identifier: Apache-2.0
//
// A layer's element-wise work as bodies: norms, gates, int8 rounding, rotation.
#pragma once

#include "trainer/cuda/Blocks.h"

namespace fairy2::trainer {

struct NormBody : RowBody<NormBody> {
  template <int width, typename Block, typename X, typename Y>
  FAIRY2_HOST_DEVICE static void inPacks(Block &block,
                                         const NormCall<X, Y> &c) {
    const int64_t row = block.index * c.n;
    const auto *x = c.x + row;
    const float squares = rowSum<width, float>(block, c.n, [&](int64_t i) {
      Pack<width> pack = load<width>(x + i);
      if (c.delta) {
        const Pack<width> delta = load<width>(c.delta + row + i);
        for (int k = 0; k < width; ++k)
          pack.v[k] += delta.v[k];
        store(pack, c.sum + row + i);
      }
      float sum = 0;
      for (int k = 0; k < width; ++k)
        sum += pack.v[k] * pack.v[k];
      return sum;
    });
    if (c.delta)
      x = c.sum + row;
    const float inverse = inverseNorm(squares, c.n, c.epsilon);
    writeRow<width>(
        block, c.n, c.quantizes,
        [&](int64_t i) {
          Pack<width> pack = load<width>(x + i);
          const Pack<width> weight = load<width>(c.weight + i);
          for (int k = 0; k < width; ++k)
            pack.v[k] = pack.v[k] * inverse * weight.v[k];
          return pack;
        },
        c.y + row);
    block.each([&](int t) {
      if (t == 0)
        c.inverses[block.index] = inverse;
    });
  }
};

struct NormBackwardBody : RowBody<NormBackwardBody> {
  template <int width, typename Block, typename X, typename Y>
  FAIRY2_HOST_DEVICE static void inPacks(Block &block,
                                         const NormBackwardCall<X, Y> &c) {
    const int64_t row = block.index * c.n;
    const float dot = rowSum<width, float>(block, c.n, [&](int64_t i) {
      const Pack<width> x = load<width>(c.x + row + i),
                        dy = load<width>(c.dy + row + i),
                        weight = load<width>(c.weight + i);
      float sum = 0;
      for (int k = 0; k < width; ++k)
        sum += dy.v[k] * weight.v[k] * x.v[k];
      return sum;
    });
    const float inverse = c.inverses[block.index];
    const float factor = normFactor(dot, inverse, c.n);
    forRow<width>(block, c.n, [&](int64_t i) {
      const Pack<width> x = load<width>(c.x + row + i),
                        dy = load<width>(c.dy + row + i),
                        weight = load<width>(c.weight + i);
      Pack<width> dx{};
      if (c.dSum)
        dx = load<width>(c.dSum + row + i);
      for (int k = 0; k < width; ++k)
        dx.v[k] += normGradient(x.v[k], weight.v[k], dy.v[k], inverse, factor);
      store(dx, c.dx + row + i);
      if (c.dDelta)
        store(dx, c.dDelta + row + i);
    });
  }
};

/// A thread per column and piece of rows.
struct NormWeightBody {
  static constexpr int kThreads = 128;

  template <typename Call> static GridShape grid(const Call &c) {
    return {kNormPieces * ceilDivide(c.n, kThreads), kThreads};
  }
  template <typename Block, typename Call>
  FAIRY2_HOST_DEVICE static void run(Block &block, const Call &c) {
    const int64_t piece = block.index % kNormPieces;
    const int64_t begin = c.rows * piece / kNormPieces,
                  end = c.rows * (piece + 1) / kNormPieces;
    block.each([&](int t) {
      const int64_t column = block.index / kNormPieces * kThreads + t;
      if (column >= c.n)
        return;
      float sum = 0;
      for (int64_t row = begin; row < end; ++row)
        sum += toFloat(c.dy[row * c.n + column]) *
               toFloat(c.x[row * c.n + column]) * c.inverses[row];
      c.dWeightPieces[piece * c.n + column] = sum;
    });
  }
};

struct GatedBody : RowBody<GatedBody> {
  template <int width, typename Block, typename T>
  FAIRY2_HOST_DEVICE static void inPacks(Block &block, const GatedCall<T> &c) {
    const int64_t row = block.index * c.n;
    writeRow<width>(
        block, c.n, c.quantizes,
        [&](int64_t i) {
          Pack<width> pack = load<width>(c.gate + row + i);
          const Pack<width> up = load<width>(c.up + row + i);
          for (int k = 0; k < width; ++k)
            pack.v[k] = gated(pack.v[k], up.v[k]);
          return pack;
        },
        c.y + row);
  }
};

struct GatedBackwardBody {
  template <typename Call> static GridShape grid(const Call &c) {
    return elementGrid(c.rows * c.n, c.n % kPackWidth == 0 ? kPackWidth : 1);
  }
  template <typename Block, typename Call>
  FAIRY2_HOST_DEVICE static void run(Block &block, const Call &c) {
    runInPacks<GatedBackwardBody>(block, c, c.n);
  }
  template <int width, typename Block, typename T>
  FAIRY2_HOST_DEVICE static void inPacks(Block &block,
                                         const GatedBackwardCall<T> &c) {
    forElement(block, c.rows * c.n / width, [&](int64_t index) {
      const int64_t i = index * width;
      const Pack<width> gate = load<width>(c.gate + i),
                        up = load<width>(c.up + i), dy = load<width>(c.dy + i);
      Pack<width> dGate, dUp;
      for (int k = 0; k < width; ++k) {
        const GatedGradient gradient =
            gatedGradient(gate.v[k], up.v[k], dy.v[k]);
        dGate.v[k] = gradient.gate;
        dUp.v[k] = gradient.up;
      }
      store(dGate, c.dGate + i);
      store(dUp, c.dUp + i);
    });
  }
};

struct FakeQuantizeBody : RowBody<FakeQuantizeBody> {
  template <int width, typename Block, typename T>
  FAIRY2_HOST_DEVICE static void inPacks(Block &block,
                                         const FakeQuantizeCall<T> &c) {
    const T *x = c.x + block.index * c.n;
    writeRow<width>(
        block, c.n, /*quantizes=*/true,
        [&](int64_t i) { return load<width>(x + i); }, c.y + block.index * c.n);
  }
};

struct RotateBody {
  template <typename Call> FAIRY2_HOST_DEVICE static int width(const Call &c) {
    return c.dim % (2 * kPackWidth) == 0 ? kPackWidth : 1;
  }
  template <typename Call>
  FAIRY2_HOST_DEVICE static int64_t pairs(const Call &c) {
    return c.tokens * c.heads * (c.dim / 2);
  }
  template <typename Call> static GridShape grid(const Call &c) {
    return elementGrid(pairs(c), width(c));
  }
  template <typename Block, typename Call>
  FAIRY2_HOST_DEVICE static void run(Block &block, const Call &c) {
    runInPacks<RotateBody>(block, c, width(c));
  }
  template <int width, typename Block, typename T>
  FAIRY2_HOST_DEVICE static void inPacks(Block &block, const RotateCall<T> &c) {
    const int64_t half = c.dim / 2;
    forElement(block, pairs(c) / width, [&](int64_t index) {
      const int64_t i = index * width;
      const int64_t head = i / half, j = i % half;
      const float *angles = c.angles + head / c.heads * c.dim + j;
      const int64_t at = head * c.dim + j;
      const Pack<width> cosines = load<width>(angles),
                        sines = load<width>(angles + half);
      Pack<width> a = load<width>(c.x + at), b = load<width>(c.x + at + half);
      for (int k = 0; k < width; ++k) {
        const RotatedPair pair =
            rotated(a.v[k], b.v[k], cosines.v[k], c.sign * sines.v[k]);
        a.v[k] = pair.a;
        b.v[k] = pair.b;
      }
      store(a, c.y + at);
      store(b, c.y + at + half);
    });
  }
};

} // namespace fairy2::trainer
