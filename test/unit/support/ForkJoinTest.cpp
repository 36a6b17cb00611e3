// SPDX-License-Identifier: Apache-2.0
//
// Every piece of work is done once, and no error is lost.
#include "runtime/support/ForkJoin.h"

#include "test/unit/TestFiles.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

using namespace fairy2;

namespace {

TEST(ForkJoinTest, EveryThreadRunsOnce) {
  for (const int threads : {1, 2, 7}) {
    std::vector<int> runs(static_cast<size_t>(threads));
    std::vector<std::thread::id> ids(runs.size());
    forkJoin(threads, [&](int thread) {
      ++runs[size_t(thread)];
      ids[size_t(thread)] = std::this_thread::get_id();
    });
    EXPECT_EQ(runs, std::vector<int>(size_t(threads), 1));
    EXPECT_EQ(ids[0], std::this_thread::get_id());
  }
}

TEST(ForkJoinTest, RangesCoverEverythingOnce) {
  for (const int threads : {0, 1, 2, 3, 8})
    for (const int64_t count : {0, 1, 2, 7, 100}) {
      std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
      std::atomic<int> ranges = 0;
      forkJoinRanges(threads, count, [&](int64_t begin, int64_t end) {
        ++ranges;
        EXPECT_LT(begin, end);
        for (int64_t i = begin; i < end; ++i)
          ++visits[size_t(i)];
      });
      for (const auto &visit : visits)
        EXPECT_EQ(visit, 1);
      EXPECT_EQ(ranges, std::min<int64_t>(std::max(threads, 1), count));
    }
}

TEST(ForkJoinTest, TheFirstErrorIsThrownWhenAllHaveEnded) {
  std::atomic<int> ended = 0;
  EXPECT_EQ(errorOf([&] {
              forkJoinRanges(4, 4, [&](int64_t begin, int64_t) {
                ++ended;
                if (begin % 2 == 1)
                  throw Error("test: part " + std::to_string(begin));
              });
            }),
            "test: part 1");
  EXPECT_EQ(ended, 4);
}

} // namespace
