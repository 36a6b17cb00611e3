// SPDX-License-Identifier: Apache-2.0
//
// The conversions against the definition of the formats, in double arithmetic,
// for every half and bfloat and for floats around every rounding boundary.
#include "frontend/DType.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

using namespace fairy2;

namespace {

float toFloat(DType type, uint16_t bits) {
  float value;
  toFloats(type, reinterpret_cast<const uint8_t *>(&bits), 1, &value);
  return value;
}

uint16_t fromFloat(DType type, float value) {
  uint16_t bits;
  fromFloats(type, &value, 1, reinterpret_cast<uint8_t *>(&bits));
  return bits;
}

/// IEEE 754: sign, exponent of 5 or 8 bits, the rest significand.
double definition(uint16_t bits, int exponentBits) {
  const int significandBits = 15 - exponentBits;
  const int bias = (1 << (exponentBits - 1)) - 1;
  const int exponent = (bits & 0x7fff) >> significandBits;
  const int significand = bits & ((1 << significandBits) - 1);
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == (1 << exponentBits) - 1)
    return significand ? NAN : sign * INFINITY;
  if (exponent == 0)
    return sign * std::ldexp(significand, 1 - bias - significandBits);
  return sign * std::ldexp((1 << significandBits) + significand,
                           exponent - bias - significandBits);
}

struct Format {
  DType type;
  int exponentBits;
};
std::ostream &operator<<(std::ostream &stream, const Format &format) {
  return stream << nameOf(format.type);
}

class DTypeTest : public testing::TestWithParam<Format> {};

TEST_P(DTypeTest, ReadsEveryValueExactly) {
  const auto [type, exponentBits] = GetParam();
  for (int bits = 0; bits < 65536; ++bits) {
    const double expected = definition(uint16_t(bits), exponentBits);
    const float value = toFloat(type, uint16_t(bits));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value)) << bits;
    } else {
      ASSERT_EQ(value, expected) << bits;
      ASSERT_EQ(std::signbit(value), std::signbit(expected)) << bits;
      ASSERT_EQ(fromFloat(type, value), bits);
    }
  }
}

TEST_P(DTypeTest, RoundsToNearestEven) {
  const auto [type, exponentBits] = GetParam();
  const int infinity = ((1 << exponentBits) - 1) << (15 - exponentBits);
  for (int bits = 0; bits < infinity; ++bits) {
    const double low = definition(uint16_t(bits), exponentBits);
    // What would follow the largest value stands for infinity's place.
    const double high =
        bits + 1 < infinity
            ? definition(uint16_t(bits + 1), exponentBits)
            : 2 * low - definition(uint16_t(bits - 1), exponentBits);
    const float middle = float((low + high) / 2);
    const int even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(fromFloat(type, middle), even) << bits;
    ASSERT_EQ(fromFloat(type, -middle), even | 0x8000) << bits;
    ASSERT_EQ(fromFloat(type, std::nextafter(middle, 0.f)), bits);
    ASSERT_EQ(fromFloat(type, std::nextafter(middle, INFINITY)), bits + 1);
  }
  EXPECT_EQ(fromFloat(type, INFINITY), infinity);
  EXPECT_EQ(fromFloat(type, -INFINITY), infinity | 0x8000);
  EXPECT_EQ(fromFloat(type, std::numeric_limits<float>::max()), infinity);
}

TEST_P(DTypeTest, KeepsNans) {
  const DType type = GetParam().type;
  for (uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xffc00000u, 0xff800001u}) {
    const float nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(toFloat(type, fromFloat(type, nan))));
  }
}

/// The loops are vectorized: every length and alignment takes the same values.
TEST_P(DTypeTest, AgreesAtEveryLengthAndAlignment) {
  const DType type = GetParam().type;
  std::mt19937 random(1);
  std::vector<uint8_t> bytes(2 * 100 + 1);
  for (uint8_t &byte : bytes)
    byte = uint8_t(random());
  for (int start : {0, 1})
    for (int count = 0; count <= 100; ++count) {
      std::vector<float> values(count + 1, -7.f);
      toFloats(type, bytes.data() + start, count, values.data());
      EXPECT_EQ(values[count], -7.f);
      for (int i = 0; i < count; ++i) {
        uint16_t bits;
        std::memcpy(&bits, bytes.data() + start + 2 * i, 2);
        EXPECT_EQ(std::bit_cast<uint32_t>(values[i]),
                  std::bit_cast<uint32_t>(toFloat(type, bits)));
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Formats, DTypeTest,
                         testing::Values(Format{DType::F16, 5},
                                         Format{DType::BF16, 8}),
                         [](const auto &info) {
                           return nameOf(info.param.type);
                         });

TEST(DTypeNameTest, RoundTripsAndRefusesOthers) {
  for (DType type : {DType::F32, DType::F16, DType::BF16})
    EXPECT_EQ(dtypeFromName(nameOf(type)), type);
  for (const char *name : {"", "F64", "F32 ", "f32", "F4"})
    EXPECT_EQ(dtypeFromName(name), std::nullopt);
}

TEST(DTypeNameTest, KeepsFloatsAsTheyAre) {
  const std::vector<float> values = {0.f, -0.f, 1e-45f, INFINITY, 3.25f};
  std::vector<uint8_t> bytes(values.size() * 4);
  fromFloats(DType::F32, values.data(), 5, bytes.data());
  std::vector<float> back(5);
  toFloats(DType::F32, bytes.data(), 5, back.data());
  EXPECT_EQ(std::memcmp(values.data(), back.data(), bytes.size()), 0);
}

} // namespace
