// SPDX-License-Identifier: Apache-2.0
//
// The pool's one promise, that nobody passes a barrier early, with fewer and
// with more cores than threads.
#include "runtime/ThreadPool.h"

#include "runtime/Cores.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

using namespace fairy2;

namespace {

/// Each round every thread writes its cell, and after the barrier reads all
/// others': a thread that passed early would read an old value. Plain memory,
/// so that the barrier's ordering is tested too.
void checkBarriers(ThreadPool &pool, int rounds) {
  const auto count = size_t(pool.size());
  struct alignas(64) Cell {
    int64_t value = -1;
  };
  std::vector<Cell> cells(count);
  std::vector<int64_t> wrong(count, 0);
  pool.run([&](int thread, int threads) {
    EXPECT_EQ(size_t(threads), count);
    for (int round = 0; round < rounds; ++round) {
      cells[size_t(thread)].value = round;
      pool.barrier();
      for (const Cell &cell : cells)
        wrong[size_t(thread)] += cell.value != round;
      pool.barrier();
    }
  });
  EXPECT_EQ(std::accumulate(wrong.begin(), wrong.end(), int64_t(0)), 0);
}

TEST(ThreadPoolTest, RunsEveryThreadOnce) {
  for (const int count : {1, 2, 3, 8}) {
    ThreadPool pool(count);
    for (int repeat = 0; repeat < 50; ++repeat) {
      std::vector<int> calls(size_t(count), 0);
      pool.run([&](int thread, int) { ++calls[size_t(thread)]; });
      EXPECT_EQ(calls, std::vector<int>(size_t(count), 1));
    }
  }
}

TEST(ThreadPoolTest, RunsAsManyAsAreWanted) {
  ThreadPool pool(4);
  for (int round = 0; round < 2000; ++round) {
    const int wanted = 1 + round * 7 % 4;
    std::vector<int> calls(4, 0);
    std::atomic<int> met = 0;
    std::atomic<bool> early = false;
    pool.run(
        [&](int thread, int threads) {
          EXPECT_EQ(threads, wanted);
          ++calls[size_t(thread)];
          ++met;
          pool.barrier();
          early = early || met != wanted;
        },
        wanted);
    for (int thread = 0; thread < 4; ++thread)
      EXPECT_EQ(calls[size_t(thread)], thread < wanted);
    EXPECT_FALSE(early);
  }
}

TEST(ThreadPoolTest, CallerIsThreadZero) {
  ThreadPool pool(3);
  const auto caller = std::this_thread::get_id();
  std::vector<std::thread::id> ids(3);
  pool.run([&](int thread, int) {
    ids[size_t(thread)] = std::this_thread::get_id();
  });
  EXPECT_EQ(ids[0], caller);
  EXPECT_NE(ids[1], caller);
  EXPECT_NE(ids[1], ids[2]);
}

TEST(ThreadPoolTest, BarriersHoldWithOneThreadPerCore) {
  ThreadPool pool(usableCores());
  checkBarriers(pool, 20000);
}

TEST(ThreadPoolTest, BarriersHoldWithManyMoreThreadsThanCores) {
  ThreadPool pool(4 * usableCores() + 1);
  checkBarriers(pool, 300);
}

TEST(ThreadPoolTest, SleepersWakeUp) {
  ThreadPool pool(2);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    pool.run([&](int thread, int) {
      // Far beyond the spinning: the other one sleeps in the barrier.
      if (thread == i % 2)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      pool.barrier();
    });
  }
}

TEST(ThreadPoolTest, PoolsSideBySideDoNotDisturbEachOther) {
  std::vector<std::thread> owners;
  for (int i = 0; i < 3; ++i)
    owners.emplace_back([] {
      ThreadPool pool(2);
      checkBarriers(pool, 1000);
    });
  for (std::thread &owner : owners)
    owner.join();
}

/// With a busy neighbour on every core a barrier costs a few time slices at
/// worst, not the hundreds that endless spinning costs.
TEST(ThreadPoolTest, BusyNeighboursDoNotStallIt) {
  std::atomic<bool> stop = false;
  std::vector<std::thread> neighbours;
  for (int i = 0; i < usableCores(); ++i)
    neighbours.emplace_back([&] {
      while (!stop.load(std::memory_order_relaxed))
        ;
    });
  const auto start = std::chrono::steady_clock::now();
  {
    ThreadPool pool(usableCores());
    checkBarriers(pool, 500);
  }
  const auto elapsed = std::chrono::steady_clock::now() - start;
  stop = true;
  for (std::thread &neighbour : neighbours)
    neighbour.join();
  EXPECT_LT(std::chrono::duration<double>(elapsed).count(), 30);
}

TEST(ThreadPoolTest, StartsAndStopsQuicklyWithoutWork) {
  for (int i = 0; i < 200; ++i)
    ThreadPool pool(3);
}

} // namespace
