// SPDX-License-Identifier: Apache-2.0
//
// What bodies are written with (see Bodies.h): a body runs for one block, on
// any Block that provides
//
//   index, threads       the block's number, and its threads: a multiple of 32
//   each(f)              f(t) for all threads, and a barrier
//   reduce(f, op)        op over f(t) of all threads, in a fixed order
//   Local<T>             a T per thread, that lives from one each() to another
//   shared<T>()          the block's shared memory
//   lower(place, value)  *place = min(*place, value), atomically
//
// and works on rows in packs of values.
#pragma once

#include "trainer/kernels/DeviceKernels.h"
#include "trainer/kernels/Formulas.h"

namespace fairy2::trainer {

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

FAIRY2_HOST_DEVICE constexpr int64_t ceilDivide(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// A thread per `each` elements.
FAIRY2_HOST_DEVICE constexpr GridShape elementGrid(int64_t count,
                                                   int64_t each = 1) {
  constexpr int kThreads = 256;
  return {ceilDivide(count, each * kThreads), kThreads};
}
/// A block per row, whose threads have a pack or more each.
inline GridShape rowGrid(int64_t rows, int64_t n) {
  constexpr int64_t kMost = 1024;
  const int64_t threads = ceilDivide(n, kPackWidth * kWarp) * kWarp;
  return {rows, int(threads < kMost ? threads : kMost)};
}

/// Body::inPacks<width>(block, call) for rows of n values, in packs where they
/// divide n.
template <typename Body, typename Block, typename Call>
FAIRY2_HOST_DEVICE void runInPacks(Block &block, const Call &call, int64_t n) {
  if (n % kPackWidth == 0)
    Body::template inPacks<kPackWidth>(block, call);
  else
    Body::template inPacks<1>(block, call);
}

/// What bodies with a block per row have in common. `Body` has inPacks, and
/// columns() where its call says the length of a row in another word than n.
template <typename Body> struct RowBody {
  template <typename Call>
  FAIRY2_HOST_DEVICE static int64_t columns(const Call &c) {
    return c.n;
  }
  template <typename Call> static GridShape grid(const Call &c) {
    return rowGrid(c.rows, Body::columns(c));
  }
  template <typename Block, typename Call>
  FAIRY2_HOST_DEVICE static void run(Block &block, const Call &c) {
    runInPacks<Body>(block, c, Body::columns(c));
  }
};

/// f(i) for the element that a thread of an elementGrid(count) has.
template <typename Block, typename F>
FAIRY2_HOST_DEVICE void forElement(Block &block, int64_t count, const F &f) {
  block.each([&](int t) {
    const int64_t i = block.index * block.threads + t;
    if (i < count)
      f(i);
  });
}
/// f(i) for the packs of a row, which begin at i, that thread t has.
template <int width, typename Block, typename F>
FAIRY2_HOST_DEVICE void forRowPart(const Block &block, int t, int64_t n,
                                   const F &f) {
  for (int64_t i = int64_t(t) * width; i < n; i += block.threads * width)
    f(i);
}
template <int width, typename Block, typename F>
FAIRY2_HOST_DEVICE void forRow(Block &block, int64_t n, const F &f) {
  block.each([&](int t) { forRowPart<width>(block, t, n, f); });
}
/// The sum, in T, of f(i) over the packs of a row.
template <int width, typename T, typename Block, typename F>
FAIRY2_HOST_DEVICE T rowSum(Block &block, int64_t n, const F &f) {
  return block.reduce(
      [&](int t) {
        T sum = 0;
        forRowPart<width>(block, t, n, [&](int64_t i) { sum += T(f(i)); });
        return sum;
      },
      Add());
}
/// Writes a row of packs f(i) to y, quantized if asked. The packs that threads
/// meet first are kept between the search for the largest value and the
/// rounding; what a longer row has beyond them is computed twice.
template <int width, typename T, typename Block, typename F>
FAIRY2_HOST_DEVICE void writeRow(Block &block, int64_t n, bool quantizes,
                                 const F &f, T *y) {
  if (!quantizes) {
    forRow<width>(block, n, [&](int64_t i) { store(f(i), y + i); });
    return;
  }
  typename Block::template Local<Pack<width>> first(block);
  const int64_t kept = int64_t(block.threads) * width;
  const RowQuantizer quantizer = rowQuantizer(block.reduce(
      [&](int t) {
        int32_t most = 0;
        forRowPart<width>(block, t, n, [&](int64_t i) {
          const Pack<width> pack = f(i);
          if (i < kept)
            first[t] = pack;
          for (int k = 0; k < width; ++k)
            most = Larger()(most, magnitudeBits(pack.v[k]));
        });
        return most;
      },
      Larger()));
  block.each([&](int t) {
    forRowPart<width>(block, t, n, [&](int64_t i) {
      Pack<width> pack = i < kept ? first[t] : f(i);
      for (int k = 0; k < width; ++k)
        pack.v[k] = fakeQuantized(pack.v[k], quantizer);
      store(pack, y + i);
    });
  });
}

} // namespace fairy2::trainer
