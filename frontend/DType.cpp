// SPDX-License-Identifier: Apache-2.0
//
// Branch-free conversions that compilers vectorize for any instruction set.
#include "frontend/DType.h"

#include <bit>
#include <cstring>

namespace fairy2 {

static_assert(std::endian::native == std::endian::little,
              "checkpoints are little-endian and read without swapping");

namespace {

uint32_t floatBitsOfHalf(uint16_t half) {
  const uint32_t sign = uint32_t(half & 0x8000) << 16;
  const uint32_t magnitude = uint32_t(half & 0x7fff) << 13;
  // Rebias the exponent from 15 to 127; infinity and NaN take 255.
  const uint32_t normal = magnitude + (112u << 23);
  const uint32_t special = magnitude | 0x7f800000;
  // A subnormal m * 2^-24 is 2^-14 * (1 + m / 1024) - 2^-14, both normal.
  const uint32_t one = 113u << 23;
  const uint32_t subnormal = std::bit_cast<uint32_t>(
      std::bit_cast<float>(one + magnitude) - std::bit_cast<float>(one));
  const uint32_t finite = (half & 0x7c00) == 0 ? subnormal : normal;
  return sign | ((half & 0x7c00) == 0x7c00 ? special : finite);
}

uint16_t halfOfFloatBits(uint32_t bits) {
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  // Halfway up to the next half, minus one unless the last kept bit is odd. A
  // carry runs into the exponent, and from 65504 on to infinity, as it must.
  const uint32_t odd = (magnitude >> 13) & 1;
  const uint32_t normal = (magnitude - (112u << 23) + 0xfff + odd) >> 13;
  // Adding 0.5, whose last place is 2^-24, rounds to a multiple of 2^-24.
  const uint32_t subnormal =
      std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) -
      std::bit_cast<uint32_t>(0.5f);
  const uint32_t nan = 0x7e00 | ((magnitude >> 13) & 0x1ff);
  uint32_t half = magnitude < (113u << 23) ? subnormal : normal;
  half = magnitude >= (143u << 23) ? 0x7c00 : half;
  half = magnitude > 0x7f800000 ? nan : half;
  return uint16_t(sign | half);
}

uint16_t bfloatOfFloatBits(uint32_t bits) {
  const uint32_t odd = (bits >> 16) & 1;
  const uint32_t rounded = (bits + 0x7fff + odd) >> 16;
  const uint32_t nan = (bits >> 16) | 0x40;
  return uint16_t((bits & 0x7fffffff) > 0x7f800000 ? nan : rounded);
}

/// Applies `convert` from To-sized to From-sized elements, unaligned.
template <typename From, typename To, typename Convert>
void convertAll(const void *from, int64_t count, void *to, Convert convert) {
  const auto *in = static_cast<const uint8_t *>(from);
  auto *out = static_cast<uint8_t *>(to);
  for (int64_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, in + i * int64_t(sizeof(From)), sizeof(From));
    const To result = convert(value);
    std::memcpy(out + i * int64_t(sizeof(To)), &result, sizeof(To));
  }
}

} // namespace

int64_t byteWidth(DType type) { return type == DType::F32 ? 4 : 2; }

const char *nameOf(DType type) {
  return type == DType::F32 ? "F32" : type == DType::F16 ? "F16" : "BF16";
}

std::optional<DType> dtypeFromName(std::string_view name) {
  for (DType type : {DType::F32, DType::F16, DType::BF16})
    if (name == nameOf(type))
      return type;
  return std::nullopt;
}

void toFloats(DType type, const uint8_t *bytes, int64_t count, float *out) {
  switch (type) {
  case DType::F32:
    if (count)
      std::memcpy(out, bytes, size_t(count) * 4);
    return;
  case DType::F16:
    return convertAll<uint16_t, uint32_t>(bytes, count, out, floatBitsOfHalf);
  case DType::BF16:
    return convertAll<uint16_t, uint32_t>(
        bytes, count, out,
        [](uint16_t value) { return uint32_t(value) << 16; });
  }
}

void fromFloats(DType type, const float *values, int64_t count, uint8_t *out) {
  switch (type) {
  case DType::F32:
    if (count)
      std::memcpy(out, values, size_t(count) * 4);
    return;
  case DType::F16:
    return convertAll<uint32_t, uint16_t>(values, count, out, halfOfFloatBits);
  case DType::BF16:
    return convertAll<uint32_t, uint16_t>(values, count, out,
                                          bfloatOfFloatBits);
  }
}

} // namespace fairy2
