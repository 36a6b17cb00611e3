// SPDX-License-Identifier: Apache-2.0
//
// The .npy bytes as NumPy's format.py defines them.
#include "runtime/support/Npy.h"

#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

#include <cstring>

using namespace fairy2;

namespace {

TEST(NpyTest, HeaderAndDataAreWhatNumPyReads) {
  const TemporaryFolder folder;
  const std::string path = folder.file("x.npy");
  const std::vector<float> values = {1, 2, 3, 4, 5, -0.5f};
  NpyWriter writer(path, 2, 3);
  writer.append(std::span(values).first(4));
  writer.append(std::span(values).subspan(4));
  EXPECT_FALSE(std::filesystem::exists(path));
  writer.commit();
  const std::string content = readFile(path);
  ASSERT_EQ(content.size(), 128 + 24u);
  EXPECT_EQ(content.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(content[8] + 256 * content[9], 118);
  EXPECT_EQ(content.substr(10, 60),
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } ");
  EXPECT_EQ(content[127], '\n');
  EXPECT_EQ(std::memcmp(content.data() + 128, values.data(), 24), 0);
}

} // namespace
