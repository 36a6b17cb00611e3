// SPDX-License-Identifier: Apache-2.0
//
// What the training step computes per element and per row. The loops around it
// are in Kernels.inc for CPUs and in trainer/cuda for GPUs. All functions have
// internal linkage, because files with different -march include them, and
// follow the floating-point pragma of the file that includes them.
#pragma once

#include "dialect/phase/HostDevice.h"

#include <cstdint>

namespace fairy2::trainer {

#define FAIRY2_FORMULA FAIRY2_HOST_DEVICE static inline
/// Begins a function whose roundings are those of the compiled model.
#ifdef __clang__
#define FAIRY2_ROUND_EACH _Pragma("clang fp reassociate(off) contract(off)")
#else
#define FAIRY2_ROUND_EACH
#endif

/// e^x to 2 units in the last place; 0 below -87.
FAIRY2_FORMULA float exponential(float x) {
  const float clamped = x < -87.f ? -87.f : x > 88.f ? 88.f : x;
  const float k = __builtin_rintf(clamped * 1.44269504f);
  const float r = (clamped - k * 0.693359375f) + k * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  const int32_t bits = (int32_t(k) + 127) << 23;
  return x < -87.f ? 0.f : p * __builtin_bit_cast(float, bits);
}

FAIRY2_FORMULA float sigmoid(float x) { return 1.f / (1.f + exponential(-x)); }

/// silu(gate) * up.
FAIRY2_FORMULA float gated(float gate, float up) {
  return gate * sigmoid(gate) * up;
}
struct GatedGradient {
  float gate, up;
};
FAIRY2_FORMULA GatedGradient gatedGradient(float gate, float up, float dy) {
  const float s = sigmoid(gate);
  return {dy * up * s * (1.f + gate * (1.f - s)), dy * gate * s};
}

/// cap * tanh(x / cap), to about 2e-7 of the cap.
FAIRY2_FORMULA float softCapped(float x, float cap) {
  return cap * (1.f - 2.f / (exponential(x * (2.f / cap)) + 1.f));
}
/// Its slope, from its value.
FAIRY2_FORMULA float softCapSlope(float capped, float cap) {
  const float tangent = capped / cap;
  return 1.f - tangent * tangent;
}

/// 1 / sqrt(mean(x^2) + epsilon) of n values.
FAIRY2_FORMULA float inverseNorm(float sumOfSquares, int64_t n, float epsilon) {
  return 1.f / __builtin_sqrtf(sumOfSquares / float(n) + epsilon);
}
/// What the gradient of a normalized row takes off each x; `dot` is the sum of
/// dy * weight * x.
FAIRY2_FORMULA float normFactor(float dot, float inverse, int64_t n) {
  return dot * inverse * inverse / float(n);
}
FAIRY2_FORMULA float normGradient(float x, float weight, float dy,
                                  float inverse, float factor) {
  return inverse * (dy * weight - x * factor);
}

/// Rotates the pair (a, b) by the angle of this cosine and sine.
struct RotatedPair {
  float a, b;
};
FAIRY2_FORMULA RotatedPair rotated(float a, float b, float cosine, float sine) {
  return {a * cosine - b * sine, b * cosine + a * sine};
}

/// Bits by which magnitudes compare as integers; a NaN's are the largest.
FAIRY2_FORMULA int32_t magnitudeBits(float x) {
  return __builtin_bit_cast(int32_t, x) & 0x7fffffff;
}

/// Int8 activations: 127 steps to the row's largest magnitude.
struct RowQuantizer {
  float inverse, scale;
};
FAIRY2_FORMULA RowQuantizer rowQuantizer(int32_t largestMagnitudeBits) {
  FAIRY2_ROUND_EACH
  const float most = __builtin_bit_cast(float, largestMagnitudeBits);
  return {most == 0 ? 0.f : 127.f / most, most / 127.f};
}
/// What is left of x; ties go to even.
FAIRY2_FORMULA float fakeQuantized(float x, const RowQuantizer &quantizer) {
  FAIRY2_ROUND_EACH
  float code = __builtin_rintf(x * quantizer.inverse);
  code = code > 127.f ? 127.f : code < -127.f ? -127.f : code;
  return code * quantizer.scale;
}

/// A value of softmax(logits / temperature) before it is divided by the sum;
/// `factor` is 1 / temperature.
FAIRY2_FORMULA float softmaxTerm(float logit, float most, float factor) {
  return exponential((logit - most) * factor);
}
FAIRY2_FORMULA float logSum(float most, float factor, float sum) {
  return most * factor + __builtin_logf(sum);
}

} // namespace fairy2::trainer
