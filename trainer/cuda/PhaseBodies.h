// SPDX-License-Identifier: Apache-2.0
//
// dialect/phase/Phase.h's quantizer as bodies (see Bodies.h). A thread sums a
// whole row, and one thread the rows, as Phase.cpp does, so that sums in double
// are the same bits; the values come through shared memory, a square of kWarp
// rows and columns at a time, so that reads stay in order.
#pragma once

#include "trainer/cuda/Blocks.h"

namespace fairy2::trainer {

/// A square of values in shared memory, with a spare column against conflicts.
template <typename T> struct Square {
  static constexpr int64_t kBytes = kWarp * (kWarp + 1) * sizeof(T);

  T *values;

  FAIRY2_HOST_DEVICE T &at(int row, int column) const {
    return values[row * (kWarp + 1) + column];
  }
};

/// In a block of kWarp threads and as many of the rows: load(row, column) for
/// all entries, and then take(t, value) by thread t for its row, in order of
/// columns. afterSquare(t, row, column) follows each kWarp columns. Loads are
/// many at a time under way, so load() must write nothing.
template <typename T, typename Block, typename Load, typename Take,
          typename After>
FAIRY2_HOST_DEVICE void
takeRowsInOrder(Block &block, int64_t rows, int64_t columns, const Load &load,
                const Take &take, const After &afterSquare) {
  const Square<T> square{block.template shared<T>()};
  const int64_t first = block.index * kWarp;
  const int count = int(rows - first < kWarp ? rows - first : int64_t(kWarp));
  for (int64_t begin = 0; begin < columns; begin += kWarp) {
    const int width =
        int(columns - begin < kWarp ? columns - begin : int64_t(kWarp));
    block.each([&](int t) {
      if (t >= width)
        return;
      constexpr int kUnderWay = 8;
      T values[kUnderWay];
      for (int r = 0; r < count; r += kUnderWay) {
        for (int k = 0; k < kUnderWay; ++k)
          if (r + k < count)
            values[k] = load(first + r + k, begin + t);
        for (int k = 0; k < kUnderWay; ++k)
          if (r + k < count)
            square.at(r + k, t) = values[k];
      }
    });
    block.each([&](int t) {
      if (t >= count)
        return;
      for (int j = 0; j < width; ++j)
        take(t, square.at(t, j));
      afterSquare(t, first + t, begin + width);
    });
  }
}

/// Row scales: each real row's root mean square.
struct PhaseFactorsBody {
  FAIRY2_HOST_DEVICE static GridShape grid(const PhaseCall &c) {
    return {ceilDivide(2 * c.rows, kWarp), kWarp, Square<float>::kBytes};
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const PhaseCall &c, int) {
    const int64_t width = 2 * c.columns;
    typename Block::template Local<double> sums(block);
    takeRowsInOrder<float>(
        block, 2 * c.rows, width,
        [&](int64_t row, int64_t column) { return c.a[row * width + column]; },
        [&](int t, float value) { sums[t] += double(value) * double(value); },
        [&](int t, int64_t row, int64_t end) {
          if (end == width)
            c.factors[row] = float(__builtin_sqrt(sums[t] / double(width)));
        });
  }
};

/// U and W, over their rows' factors.
struct PhaseReadBody {
  FAIRY2_HOST_DEVICE static GridShape grid(const PhaseCall &c) {
    return elementGrid(c.rows * c.columns);
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const PhaseCall &c, int) {
    constexpr int32_t kInfinity = 0x7f800000;
    const int64_t m = c.columns;
    forElement(block, c.rows * m, [&](int64_t at) {
      const int64_t i = at / m, j = at % m;
      const int64_t places[4] = {2 * i * m + j, (2 * i + 1) * m + j,
                                 2 * (c.rows + i) * m + j,
                                 (2 * (c.rows + i) + 1) * m + j};
      float values[4];
      for (int k = 0; k < 4; ++k) {
        values[k] = c.a[places[k]];
        if (magnitudeBits(values[k]) >= kInfinity)
          block.lower(c.firstBadValue, places[k]);
        if (c.dividesRows)
          values[k] = overFactor(values[k], c.factors[k < 2 ? i : c.rows + i]);
      }
      c.residual[at] =
          toWidelyLinear(values[0], values[1], values[2], values[3]);
      c.codes[at] = 0;
    });
  }
};

FAIRY2_FORMULA uint32_t phaseBits(const WidelyLinear &r) {
  return uint32_t(nearestPhase(r.uRe, r.uIm)) |
         uint32_t(nearestPhase(r.wRe, r.wIm)) << 2;
}

/// The sums of each row of each tile for the codes of the residuals.
struct PhaseSumBody {
  FAIRY2_HOST_DEVICE static GridShape grid(const PhaseCall &c) {
    return {ceilDivide(c.rows, kWarp), kWarp, Square<WidelyLinear>::kBytes};
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const PhaseCall &c,
                                     int stage) {
    const int64_t m = c.columns, across = c.tilesAcross();
    typename Block::template Local<WidelyLinearSums> sums(block);
    takeRowsInOrder<WidelyLinear>(
        block, c.rows, m,
        [&](int64_t row, int64_t column) {
          return c.residual[row * m + column];
        },
        [&](int t, const WidelyLinear &r) {
          sums[t].u.add(nearestPhase(r.uRe, r.uIm), r.uRe, r.uIm);
          sums[t].w.add(nearestPhase(r.wRe, r.wIm), r.wRe, r.wIm);
        },
        [&](int t, int64_t row, int64_t end) {
          if (end != m && end % c.tileColumns != 0)
            return;
          c.sums[row * across + (end - 1) / c.tileColumns] = sums[t];
          sums[t] = {};
        });
  }
};

/// A block per tile: its scales.
struct PhaseScalesBody {
  static constexpr int kThreads = 64;

  FAIRY2_HOST_DEVICE static GridShape grid(const PhaseCall &c) {
    return {c.tilesDown() * c.tilesAcross(), kThreads,
            kThreads * int64_t(sizeof(WidelyLinearSums))};
  }
  FAIRY2_HOST_DEVICE static AxisScales scales(const CodeSums &sums) {
    return {Larger()(axisMean(sums.re, sums.reCount), kSmallestScale),
            Larger()(axisMean(sums.im, sums.imCount), kSmallestScale)};
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const PhaseCall &c,
                                     int stage) {
    const int64_t across = c.tilesAcross();
    const int64_t down = block.index / across, tile = block.index % across;
    const int64_t end =
        c.rows < (down + 1) * c.tileRows ? c.rows : (down + 1) * c.tileRows;
    WidelyLinearSums *rows = block.template shared<WidelyLinearSums>();
    typename Block::template Local<WidelyLinearSums> total(block);
    for (int64_t begin = down * c.tileRows; begin < end; begin += kThreads) {
      const int count =
          int(end - begin < kThreads ? end - begin : int64_t(kThreads));
      block.each([&](int t) {
        if (t < count)
          rows[t] = c.sums[(begin + t) * across + tile];
      });
      block.each([&](int t) {
        if (t == 0)
          for (int i = 0; i < count; ++i)
            total[t].add(rows[i]);
      });
    }
    block.each([&](int t) {
      if (t != 0)
        return;
      AxisScales *to = c.scales + block.index * 2 * c.stages + 2 * stage;
      to[0] = scales(total[t].u);
      to[1] = scales(total[t].w);
    });
  }
};

/// Keeps the residuals' codes, and takes what they stand for off them.
struct PhaseSubtractBody {
  FAIRY2_HOST_DEVICE static GridShape grid(const PhaseCall &c) {
    return elementGrid(c.rows * c.columns);
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const PhaseCall &c,
                                     int stage) {
    forElement(block, c.rows * c.columns, [&](int64_t at) {
      const AxisScales *scales =
          c.scalesAt(at / c.columns, at % c.columns) + 2 * stage;
      WidelyLinear r = c.residual[at];
      const uint32_t codes = c.codes[at] | phaseBits(r) << (4 * stage);
      c.codes[at] = codes;
      float re, im;
      scaledPhase(PhaseCall::phaseOf(codes, 2 * stage), scales[0], re, im);
      r.uRe -= re;
      r.uIm -= im;
      scaledPhase(PhaseCall::phaseOf(codes, 2 * stage + 1), scales[1], re, im);
      r.wRe -= re;
      r.wIm -= im;
      c.residual[at] = r;
    });
  }
};

/// The codes of the last stage, and the dense matrix that all codes and scales
/// stand for.
struct PhaseWriteBody {
  FAIRY2_HOST_DEVICE static GridShape grid(const PhaseCall &c) {
    return elementGrid(c.rows * c.columns);
  }
  template <typename Block>
  FAIRY2_HOST_DEVICE static void run(Block &block, const PhaseCall &c, int) {
    const int64_t m = c.columns;
    forElement(block, c.rows * m, [&](int64_t at) {
      const int64_t i = at / m, j = at % m;
      const AxisScales *scales = c.scalesAt(i, j);
      const uint32_t codes = c.codes[at] | phaseBits(c.residual[at])
                                               << (4 * (c.stages - 1));
      c.codes[at] = codes;
      WidelyLinear sum{};
      for (int set = 0; set < 2 * c.stages; set += 2) {
        float re, im;
        scaledPhase(PhaseCall::phaseOf(codes, set), scales[set], re, im);
        sum.uRe += re;
        sum.uIm += im;
        scaledPhase(PhaseCall::phaseOf(codes, set + 1), scales[set + 1], re,
                    im);
        sum.wRe += re;
        sum.wIm += im;
      }
      const RealBlock real = toRealBlock(sum);
      const float top = c.dividesRows ? c.factors[i] : 1.f,
                  bottom = c.dividesRows ? c.factors[c.rows + i] : 1.f;
      float *out = c.out + 2 * i * m + j, *below = out + 2 * c.rows * m;
      out[0] = real.a11 * top;
      out[m] = real.a12 * top;
      below[0] = real.a21 * bottom;
      below[m] = real.a22 * bottom;
    });
  }
};

} // namespace fairy2::trainer
