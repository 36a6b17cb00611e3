// SPDX-License-Identifier: Apache-2.0
//
// Frames, checksums and messages of an event file, read byte by byte.
#include "trainer/run/TensorBoard.h"

#include "runtime/support/File.h"
#include "test/unit/trainer/TinyModels.h"

#include <gtest/gtest.h>

#include <cstring>

using namespace fairy2;
using namespace fairy2::trainer;

namespace {

TEST(TensorBoardTest, Crc32cMatchesItsPublishedValues) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u); // the standard check value
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau); // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

/// Takes the file apart frame by frame, as a reader does.
TEST(TensorBoardTest, FramesHoldTheScalars) {
  const TemporaryFolder folder;
  {
    TensorBoard board(folder.path(), 300);
    board.scalar("loss", 300, 1.5f);
  }
  std::string bytes;
  for (const auto &entry : std::filesystem::directory_iterator(folder.path()))
    bytes = readWholeFile(entry.path());
  std::vector<std::string> events;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t size;
    uint32_t crc;
    std::memcpy(&size, bytes.data() + at, 8);
    std::memcpy(&crc, bytes.data() + at + 12 + size, 4);
    events.push_back(bytes.substr(at + 12, size));
    const uint32_t plain = crc32c(events.back());
    EXPECT_EQ(crc, (plain >> 15 | plain << 17) + 0xa282ead8u);
    at += 16 + size;
  }
  ASSERT_EQ(events.size(), 3u);
  EXPECT_NE(events[0].find("brain.Event:2"), std::string::npos);
  // After wall_time: step 300 as a varint, then the start of a session.
  EXPECT_EQ(events[1].substr(9), std::string("\x10\xac\x02\x3a\x02\x08\x01"));
  // The same step, then the nested summary.
  const std::string expected("\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss"
                             "\x15\x00\x00\xc0\x3f",
                             18);
  EXPECT_EQ(events[2].substr(9), expected);
}

} // namespace
