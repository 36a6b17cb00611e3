// SPDX-License-Identifier: Apache-2.0
//
// The phase group {1, i, -1, -i} and what the quantizer computes per entry, for
// host and CUDA device alike. Phase.h says what the quantizer is.
#pragma once

#include "dialect/phase/HostDevice.h"

#include <cstdint>

namespace fairy2 {

/// i^k for k = 0..3, the value a + i b of one 2-bit code.
enum class Phase : uint8_t { One = 0, I = 1, MinusOne = 2, MinusI = 3 };

/// Real part of i^k: 1, 0, -1, 0.
FAIRY2_HOST_DEVICE constexpr int realPart(Phase p) {
  return p == Phase::One ? 1 : p == Phase::MinusOne ? -1 : 0;
}
/// Imaginary part of i^k: 0, 1, 0, -1.
FAIRY2_HOST_DEVICE constexpr int imagPart(Phase p) {
  return p == Phase::I ? 1 : p == Phase::MinusI ? -1 : 0;
}

FAIRY2_HOST_DEVICE inline float magnitude(float x) {
  return __builtin_fabsf(x);
}

/// The nearest phase of re + i im: the exact-arithmetic reading of
/// floor(2 theta / pi + 1/2) mod 4. The real axis if |re| > |im|, the imaginary
/// one if |im| > |re|; a tie is imaginary where re * im > 0 and real otherwise;
/// zero is +1. re and im must be finite.
FAIRY2_HOST_DEVICE inline Phase nearestPhase(float re, float im) {
  const float magnitudeRe = magnitude(re), magnitudeIm = magnitude(im);
  bool real = magnitudeRe > magnitudeIm;
  if (magnitudeRe == magnitudeIm)
    real = re == 0 || (re > 0) != (im > 0);
  if (real)
    return re >= 0 ? Phase::One : Phase::MinusOne;
  return im > 0 ? Phase::I : Phase::MinusI;
}

/// The four reals of one widely-linear entry: u = U, w = W.
struct WidelyLinear {
  float uRe, uIm, wRe, wIm;
};

/// U = ((A11 + A22) + i (A21 - A12)) / 2, W = ((A11 - A22) + i (A12 + A21))
/// / 2.
FAIRY2_HOST_DEVICE constexpr WidelyLinear toWidelyLinear(float a11, float a12,
                                                         float a21, float a22) {
  return {(a11 + a22) / 2, (a21 - a12) / 2, (a11 - a22) / 2, (a12 + a21) / 2};
}

/// The four reals that act on (re x, im x) and give (re y, im y).
struct RealBlock {
  float a11, a12, a21, a22;
};

/// The inverse of toWidelyLinear().
FAIRY2_HOST_DEVICE constexpr RealBlock toRealBlock(const WidelyLinear &v) {
  return {v.wRe + v.uRe, v.wIm - v.uIm, v.wIm + v.uIm, v.uRe - v.wRe};
}

/// Scale of the codes on the real axis (re) and on the imaginary axis (im).
struct AxisScales {
  float re, im;
};
constexpr float kSmallestScale = 1e-6f;

/// A value of a row with row scales, over the row's factor.
FAIRY2_HOST_DEVICE constexpr float overFactor(float value, float factor) {
  return factor == 0 ? 0 : value / factor;
}

/// s_re or s_im: the mean that `sum` over `count` codes of an axis gives,
/// before it is held above kSmallestScale.
FAIRY2_HOST_DEVICE inline float axisMean(double sum, int64_t count) {
  return count ? float(sum / double(count)) : 0.f;
}

/// The parts of the code's value with its scale, to subtract or to sum.
FAIRY2_HOST_DEVICE inline void scaledPhase(Phase p, AxisScales s, float &re,
                                           float &im) {
  re = s.re * float(realPart(p));
  im = s.im * float(imagPart(p));
}

/// Sums and counts of |component| on each axis, for the codes of a row.
struct CodeSums {
  double re = 0, im = 0;
  int64_t reCount = 0, imCount = 0;

  FAIRY2_HOST_DEVICE void add(Phase p, float re, float im) {
    if (realPart(p) != 0) {
      this->re += magnitude(re);
      ++reCount;
    } else {
      this->im += magnitude(im);
      ++imCount;
    }
  }
  FAIRY2_HOST_DEVICE void add(const CodeSums &other) {
    re += other.re;
    im += other.im;
    reCount += other.reCount;
    imCount += other.imCount;
  }
};

/// Sums of U and W.
struct WidelyLinearSums {
  CodeSums u, w;

  FAIRY2_HOST_DEVICE void add(const WidelyLinearSums &other) {
    u.add(other.u);
    w.add(other.w);
  }
};

/// Binary stages, s_t = s 2^(T-1-t): a rotation of U and W by 45 degrees makes
/// of the T codes of U the bits of two numbers, and of those of W likewise:
/// r0 = uRe - uIm, r1 = uRe + uIm, r2 = wRe - wIm, r3 = wRe + wIm are each an
/// odd multiple of s from -(2^T - 1) to 2^T - 1. The level of one of them, 0 to
/// 2^T - 1, nearest to x = r / 2s; one halfway goes up, and so 0 is positive.
FAIRY2_HOST_DEVICE inline int gridLevel(float x, int stages) {
  const float top = float((1 << stages) - 1);
  float place = x + float(1 << (stages - 1));
  // In this order what is not a number is level 0.
  place = place > 0 ? place : 0.f;
  return int(place < top ? place : top);
}
/// r / 2s of a level.
FAIRY2_HOST_DEVICE constexpr float gridValue(int level, int stages) {
  return float(level - (1 << (stages - 1))) + 0.5f;
}
/// The code of stage t, whose bits in the levels of r0 and r1 (or r2 and r3)
/// say where on which axis it lies: both 1 is 1, and 0 and 1 is i.
FAIRY2_HOST_DEVICE constexpr Phase phaseOfLevels(int level0, int level1,
                                                 int stage, int stages) {
  const int shift = stages - 1 - stage;
  const int bit0 = level0 >> shift & 1, bit1 = level1 >> shift & 1;
  return Phase((bit1 ^ 1) << 1 | (bit0 ^ bit1));
}

} // namespace fairy2
