// SPDX-License-Identifier: Apache-2.0
//
// The weight section in memory, mapped or copied.
#include "runtime/WeightMapping.h"

#include "runtime/include/fairy2/abi.h"
#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

using namespace fairy2;

namespace {

class WeightMappingTest : public testing::TestWithParam<HugePages> {
protected:
  /// A file of `bytes` bytes, each a function of its place.
  InputFile fileOf(size_t bytes) {
    std::string content(bytes, '\0');
    for (size_t i = 0; i < bytes; ++i)
      content[i] = byteAt(i);
    writeFile(folder.file("weights"), content);
    return InputFile::open(folder.file("weights"));
  }
  static char byteAt(size_t i) { return char(i * 31 + i / 4096); }

  TemporaryFolder folder;
};

/// Sections that begin and end within pages, and that reach over several huge
/// pages.
TEST_P(WeightMappingTest, HoldsTheSection) {
  const InputFile file = fileOf((5 << 20) + 100);
  for (const Region &region :
       {Region{4096, (5 << 20) - 4096, 0}, Region{64, 100, 0},
        Region{(2 << 20) + 64, 8192, 0}, Region{0, (5 << 20) + 100, 0}}) {
    const WeightMapping mapping(file, region, GetParam());
    const auto bytes = mapping.bytes();
    ASSERT_EQ(bytes.size(), region.bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % FAIRY2_ALIGNMENT, 0u);
    size_t at = region.offset;
    EXPECT_TRUE(std::ranges::all_of(
        bytes, [&](uint8_t byte) { return char(byte) == byteAt(at++); }));
  }
}

TEST_P(WeightMappingTest, MayBeEmpty) {
  const InputFile file = fileOf(64);
  EXPECT_TRUE(WeightMapping(file, {64, 0, 0}, GetParam()).bytes().empty());
}
INSTANTIATE_TEST_SUITE_P(Modes, WeightMappingTest,
                         testing::Values(HugePages::Auto, HugePages::Copy,
                                         HugePages::Off),
                         [](const auto &mode) {
                           return std::string(nameOf(mode.param));
                         });

/// Only then can the kernel map huge pages of the file.
TEST_F(WeightMappingTest, AddressAgreesWithTheFileOffset) {
  const InputFile file = fileOf(5 << 20);
  for (const uint64_t offset :
       {uint64_t(0), uint64_t(4096), uint64_t(3) << 20}) {
    const WeightMapping mapping(file, {offset, 8192, 0}, HugePages::Auto);
    EXPECT_EQ((reinterpret_cast<uintptr_t>(mapping.bytes().data()) - offset) %
                  (2 << 20),
              0u);
  }
}

TEST_F(WeightMappingTest, ACopyNeedsItsMemory) {
  const InputFile file = fileOf(64);
  const std::string error = errorOf(
      [&] { WeightMapping(file, {0, uint64_t(1) << 50, 0}, HugePages::Copy); });
  EXPECT_TRUE(error.starts_with(file.path +
                                ": huge pages: expected 1125899906842624 bytes "
                                "of free memory for a copy of the weights, "
                                "found "))
      << error;
}

TEST_F(WeightMappingTest, NamesOfModes) {
  for (const char *name : {"auto", "copy", "off"})
    EXPECT_STREQ(nameOf(hugePagesOf(name)), name);
  EXPECT_EQ(errorOf([] { hugePagesOf("on"); }),
            "--huge-pages: expected auto, copy or off, found 'on'");
}

} // namespace
