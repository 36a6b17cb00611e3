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

/// In a container the group's own files are mounted at the root.
TEST_F(CgroupTest, LimitAtTheRootCounts) {
  writeFile(folder.file("cpu.max"), "50000 100000\n");
  EXPECT_EQ(found("0::/\n"), 0.5);
}

} // namespace
