// SPDX-License-Identifier: Apache-2.0
//
// bfloat16 for kernels on hosts and devices, in c10::BFloat16's memory format,
// and packs of neighbours, which a GPU reads and writes at once.
#pragma once

#include "dialect/phase/HostDevice.h"

#include <cstdint>

namespace fairy2::trainer {

struct BFloat16 {
  uint16_t bits;
};

FAIRY2_HOST_DEVICE inline float toFloat(float x) { return x; }
FAIRY2_HOST_DEVICE inline float toFloat(BFloat16 x) {
  return __builtin_bit_cast(float, uint32_t(x.bits) << 16);
}

/// x as a T: to the nearest, ties to even.
template <typename T> FAIRY2_HOST_DEVICE T nearest(float x);
template <> FAIRY2_HOST_DEVICE inline float nearest<float>(float x) {
  return x;
}
template <> FAIRY2_HOST_DEVICE inline BFloat16 nearest<BFloat16>(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return {uint16_t(bits >> 16 | 0x40)}; // a NaN stays one
  return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

/// `width` neighbouring values.
template <int width> struct Pack {
  float v[width];
};
constexpr int kPackWidth = 4;

template <typename T, int width>
struct alignas(width * sizeof(T)) PackInMemory {
  T v[width];
};

/// The values from `from` on, which is aligned to all of them.
template <int width, typename T>
FAIRY2_HOST_DEVICE Pack<width> load(const T *from) {
  const auto in = *reinterpret_cast<const PackInMemory<T, width> *>(from);
  Pack<width> pack;
  for (int k = 0; k < width; ++k)
    pack.v[k] = toFloat(in.v[k]);
  return pack;
}
template <int width, typename T>
FAIRY2_HOST_DEVICE void store(const Pack<width> &pack, T *to) {
  PackInMemory<T, width> out;
  for (int k = 0; k < width; ++k)
    out.v[k] = nearest<T>(pack.v[k]);
  *reinterpret_cast<PackInMemory<T, width> *>(to) = out;
}

} // namespace fairy2::trainer
