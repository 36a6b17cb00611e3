// SPDX-License-Identifier: Apache-2.0
//
// Affinity masks.
#include "runtime/Cores.h"

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

} // namespace
