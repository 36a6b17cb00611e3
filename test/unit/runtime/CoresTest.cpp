// SPDX-License-Identifier: Apache-2.0
//
// Affinity masks and control groups, the latter from made-up files.
#include "runtime/Cores.h"

#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

using namespace fairy2;

namespace {

TEST(CoresTest, AffinityMaskLimitsTheCores) {
  const std::vector<int> all = allowedCores();
  ASSERT_FALSE(all.empty());
  EXPECT_LE(usableCores(), int(all.size()));
  EXPECT_GE(usableCores(), 1);
  // In a thread of its own: a mask cannot always be widened again.
  std::thread([&] {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CPU_SET(all.back(), &mask);
    ASSERT_EQ(sched_setaffinity(0, sizeof(mask), &mask), 0);
    EXPECT_EQ(allowedCores(), std::vector<int>{all.back()});
    EXPECT_EQ(usableCores(), 1);
  }).join();
}

class CgroupTest : public testing::Test {
protected:
  void limit(const std::string &group, const std::string &content) {
    std::filesystem::create_directories(folder.path() / group);
    writeFile(folder.path() / group / "cpu.max", content);
  }
  std::optional<double> found(const std::string &membership) {
    writeFile(folder.file("membership"), membership);
    return cgroupCpuLimit(folder.file("membership"), folder.path());
  }
  TemporaryFolder folder;
};

TEST_F(CgroupTest, SmallestLimitOnTheWayCounts) {
  limit("a", "300000 100000\n");
  limit("a/b", "max 100000\n");
  limit("a/b/c", "250000 100000\n");
  limit("other", "100000 100000\n");
  EXPECT_EQ(found("0::/a/b/c\n"), 2.5);
  EXPECT_EQ(found("0::/a/b\n"), 3);
  EXPECT_EQ(found("1:cpu:/other\n0::/a\n"), 3);
}

TEST_F(CgroupTest, NoLimit) {
  EXPECT_FALSE(found("0::/\n"));
  EXPECT_FALSE(found(""));
  limit("a", "max 100000\n");
  EXPECT_FALSE(found("0::/a\n"));
  limit("a", "garbage");
  EXPECT_FALSE(found("0::/a\n"));
}

/// Version 1 has a folder per controller and two files per group.
TEST_F(CgroupTest, VersionOneIsReadToo) {
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
TEST_F(CgroupTest, LimitAtTheRootCounts) {
  writeFile(folder.file("cpu.max"), "50000 100000\n");
  EXPECT_EQ(found("0::/\n"), 0.5);
}

} // namespace
