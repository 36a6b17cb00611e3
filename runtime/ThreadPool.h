// SPDX-License-Identifier: Apache-2.0
//
// Threads that run one function together (SPMD) and meet in a barrier: what
// generated code needs and nothing more. Waiting spins for a short, bounded
// time, because steps last microseconds, and then sleeps, because a core may
// have been taken by somebody else.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace fairy2 {

class ThreadPool {
public:
  /// Starts threads - 1 threads; the caller of run() is thread 0. When the pool
  /// has a thread for every allowed core, the started ones are pinned to a core
  /// each; the caller, whose thread is not ours, never is.
  explicit ThreadPool(int threads);
  /// Must not be called while run() is going on. In a forked child, which has
  /// none of the threads, it waits for none.
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int size() const { return count; }

  /// Calls body(thread, threads) on the first `threads` threads and returns
  /// when all are done; the others sleep. One run() at a time; the body must
  /// not throw.
  using Body = std::function<void(int thread, int threads)>;
  void run(const Body &body, int threads);
  /// On all threads.
  void run(const Body &body) { run(body, count); }

  /// Blocks until all threads of the same run() have called it.
  void barrier();
  /// The same as a Fairy2Barrier: `pool` is a ThreadPool.
  static void barrierOf(void *pool) {
    static_cast<ThreadPool *>(pool)->barrier();
  }

private:
  /// A counter that threads wait to see change. On cache lines of its own, as
  /// all threads poll it.
  struct alignas(128) Signal {
    std::atomic<uint32_t> value = 0;
    std::atomic<uint32_t> sleepers = 0;

    void raise();
    /// Returns when the value is no longer `old`.
    void wait(uint32_t old, int64_t spinNanoseconds);
  };

  void work(int thread);
  void stop();

  const int count;
  const int process; ///< which has the threads; a forked child has not
  const Body *body = nullptr;
  int active = 1; ///< threads of this run
  bool stopping = false;
  /// By thread, raised to start it: who is not needed must not wake up.
  std::vector<Signal> jobs;
  Signal phase; ///< raised to end a barrier
  alignas(128) std::atomic<uint32_t> arrived = 0;
  alignas(128) std::vector<std::thread> threads;
};

} // namespace fairy2
