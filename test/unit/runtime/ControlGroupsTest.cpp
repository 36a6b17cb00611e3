// SPDX-License-Identifier: Apache-2.0
//
// Limits of control groups, from made-up files.
#include "runtime/ControlGroups.h"

#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

using namespace fairy2;

namespace {

class ControlGroupsTest : public testing::Test {
protected:
  void limit(const std::string &group, const std::string &content) {
    std::filesystem::create_directories(folder.path() / group);
    writeFile(folder.path() / group / "cpu.max", content);
  }
  std::optional<double> found(const std::string &membership) {
    writeFile(folder.file("membership"), membership);
    return cpuLimit(groups());
  }
  ControlGroups groups() const {
    return {folder.file("membership"), folder.path()};
  }
  TemporaryFolder folder;
};

TEST_F(ControlGroupsTest, SmallestLimitOnTheWayCounts) {
  limit("a", "300000 100000\n");
  limit("a/b", "max 100000\n");
  limit("a/b/c", "250000 100000\n");
  limit("other", "100000 100000\n");
  EXPECT_EQ(found("0::/a/b/c\n"), 2.5);
  EXPECT_EQ(found("0::/a/b\n"), 3);
  EXPECT_EQ(found("1:cpu:/other\n0::/a\n"), 3);
}

TEST_F(ControlGroupsTest, NoLimit) {
  EXPECT_FALSE(found("0::/\n"));
  EXPECT_FALSE(found(""));
  limit("a", "max 100000\n");
  EXPECT_FALSE(found("0::/a\n"));
  limit("a", "garbage");
  EXPECT_FALSE(found("0::/a\n"));
}

/// Version 1 has a folder per controller and two files per group.
TEST_F(ControlGroupsTest, VersionOneIsReadToo) {
  const auto quota = [&](const std::string &group, const std::string &us) {
    std::filesystem::create_directories(folder.path() / group);
    writeFile(folder.path() / group / "cpu.cfs_quota_us", us + "\n");
    writeFile(folder.path() / group / "cpu.cfs_period_us", "100000\n");
  };
  quota("cpu,cpuacct", "-1");
  quota("cpu,cpuacct/a", "350000");
  quota("cpu,cpuacct/a/b", "-1");
  quota("cpu,cpuacct/a/c", "150000");
  quota("cpuset/a/c", "100000");
  const std::string others = "11:cpuset:/a/c\n10:memory:/a/c\n";
  EXPECT_EQ(found(others + "4:cpu,cpuacct:/a/b\n"), 3.5);
  EXPECT_EQ(found(others + "4:cpu,cpuacct:/a/c\n1:name=systemd:/\n"), 1.5);
  EXPECT_FALSE(found(others + "4:cpu,cpuacct:/\n"));
  quota("cpu/a", "50000"); // the other way to name the mount
  EXPECT_EQ(found("4:cpuacct,cpu:/a\n"), 0.5);
  quota("cpu", "25000"); // a container's own group, mounted at the root
  EXPECT_EQ(found("4:cpuacct,cpu:/docker/0123\n"), 0.25);
  // Both versions at once, version 2 in its folder.
  limit("unified/u", "20000 100000");
  EXPECT_EQ(found("4:cpu,cpuacct:/a/c\n0::/u\n"), 0.2);
}

/// In a container the group's own files are mounted at the root.
TEST_F(ControlGroupsTest, LimitAtTheRootCounts) {
  writeFile(folder.file("cpu.max"), "50000 100000\n");
  EXPECT_EQ(found("0::/\n"), 0.5);
}

/// Whose memory is used up by another group below the same limit has less.
TEST_F(ControlGroupsTest, LeastMemoryOnTheWayCounts) {
  const auto memory = [&](const std::string &group, const std::string &limit,
                          const std::string &used) {
    std::filesystem::create_directories(folder.path() / group);
    writeFile(folder.path() / group / "memory.max", limit + "\n");
    writeFile(folder.path() / group / "memory.current", used + "\n");
  };
  memory("a", "1000", "700");
  memory("a/b", "500", "100");
  memory("a/c", "max", "5");
  memory("d", "100", "130");
  const auto left = [&](const std::string &membership) {
    writeFile(folder.file("membership"), membership);
    return memoryLeft(groups());
  };
  EXPECT_EQ(left("0::/a/b\n"), 300);
  EXPECT_EQ(left("0::/a/c\n"), 300);
  EXPECT_EQ(left("0::/d\n"), 0);
  EXPECT_FALSE(left("0::/\n"));
  // What the kernel can drop is not gone.
  writeFile(folder.path() / "a" / "memory.stat",
            "anon 1\nactive_file 300\ninactive_file 150\n");
  EXPECT_EQ(left("0::/a/b\n"), 400);
}

TEST_F(ControlGroupsTest, MemoryOfVersionOneIsReadToo) {
  std::filesystem::create_directories(folder.path() / "memory" / "a");
  const auto write = [&](const std::string &name, const std::string &text) {
    writeFile(folder.path() / "memory" / name, text);
  };
  write("memory.limit_in_bytes", "9223372036854771712\n");
  write("memory.usage_in_bytes", "4096\n");
  write("a/memory.limit_in_bytes", "1000\n");
  write("a/memory.usage_in_bytes", "900\n");
  write("a/memory.stat", "inactive_file 1\ntotal_inactive_file 250\n");
  writeFile(folder.file("membership"), "5:memory:/a\n4:cpu:/a\n");
  EXPECT_EQ(memoryLeft(groups()), 350);
}

TEST(AvailableMemoryTest, IsThatOfThisMachine) {
  EXPECT_GT(availableMemory(), uint64_t(1) << 20);
  EXPECT_LT(availableMemory(), uint64_t(1) << 50);
}

} // namespace
