// SPDX-License-Identifier: Apache-2.0
//
// The bytes of texts, lists and single values.
#include "runtime/support/Bytes.h"

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

using namespace fairy2;
using namespace std::string_view_literals;

namespace {

std::vector<uint8_t> listOf(std::span<const uint8_t> bytes) {
  return {bytes.begin(), bytes.end()};
}

TEST(BytesTest, OfRangesAndOfValues) {
  EXPECT_EQ(listOf(bytesOf("a\0b"sv)), (std::vector<uint8_t>{'a', 0, 'b'}));
  EXPECT_EQ(listOf(bytesOf(std::vector<uint16_t>{0x0201, 0x0403})),
            (std::vector<uint8_t>{1, 2, 3, 4}));
  EXPECT_EQ(listOf(bytesOf(uint32_t(7))), (std::vector<uint8_t>{7, 0, 0, 0}));
  EXPECT_TRUE(bytesOf(std::vector<int64_t>()).empty());
}

TEST(BytesTest, AreWrittenInPlace) {
  std::vector<uint16_t> list(2);
  writableBytesOf(list)[3] = 1;
  EXPECT_EQ(list, (std::vector<uint16_t>{0, 0x0100}));
  struct {
    uint8_t a, b;
  } pair = {1, 2};
  writableBytesOf(pair)[1] = 9;
  EXPECT_EQ(pair.a, 1);
  EXPECT_EQ(pair.b, 9);
}

} // namespace
