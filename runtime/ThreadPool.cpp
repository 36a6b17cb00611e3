// SPDX-License-Identifier: Apache-2.0
//
// A counter for each thread starts it, a counting barrier whose phase is a
// counter lets them meet. Sleepers sleep on a futex. (std::atomic::wait would
// do, but libstdc++ shares its few tables of sleepers between all atomics, so
// that one idle pool slows another.)
#include "runtime/ThreadPool.h"

#include "runtime/Cores.h"
#include "runtime/support/Error.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <climits>
#include <system_error>

namespace fairy2 {
namespace {

/// Nanoseconds. Longer than the imbalance between the threads of one step. With
/// the cores contested a step costs this much extra, so not much longer: steps
/// of 30 us took 111, 150, 211 and 510 us with 1, 20, 50 and 200 us of spinning
/// on two cores at load 5.
constexpr int64_t kBarrierSpin = 20'000;
/// Between two tokens the caller samples and prints; sleeping meanwhile would
/// cost a wake-up per token.
constexpr int64_t kJobSpin = 50'000;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

void pinTo(std::thread &thread, int core) {
  const size_t bytes = CPU_ALLOC_SIZE(core + 1);
  cpu_set_t *mask = CPU_ALLOC(core + 1);
  if (!mask)
    return;
  CPU_ZERO_S(bytes, mask);
  CPU_SET_S(core, bytes, mask);
  // Best effort: an unpinned thread is slower, not wrong.
  pthread_setaffinity_np(thread.native_handle(), bytes, mask);
  CPU_FREE(mask);
}

} // namespace

ThreadPool::ThreadPool(int size)
    : count(size), process(getpid()), jobs(size_t(size)) {
  const std::vector<int> cores = allowedCores();
  threads.reserve(size_t(count));
  try {
    for (int t = 1; t < count; ++t) {
      threads.emplace_back([this, t] { work(t); });
      if (cores.size() == size_t(count))
        pinTo(threads.back(), cores[size_t(t)]);
    }
  } catch (const std::system_error &error) {
    stop();
    throw Error("threads: cannot start " + std::to_string(count) + ": " +
                error.what());
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  if (getpid() != process) {
    for (std::thread &thread : threads)
      thread.detach();
    return;
  }
  stopping = true;
  for (Signal &job : jobs)
    job.raise();
  for (std::thread &thread : threads)
    thread.join();
}

void ThreadPool::Signal::raise() {
  // Sequentially consistent, as `sleepers` is: either this load sees a sleeper
  // or the sleeper's look at `value` sees the change.
  value.fetch_add(1);
  if (sleepers.load() != 0)
    syscall(SYS_futex, &value, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr,
            0);
}

void ThreadPool::Signal::wait(uint32_t old, int64_t spinNanoseconds) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point deadline = {};
  while (true) {
    for (int i = 0; i < 32; ++i) {
      if (value.load(std::memory_order_acquire) != old)
        return;
      relax();
    }
    const Clock::time_point now = Clock::now();
    if (deadline == Clock::time_point{})
      deadline = now + std::chrono::nanoseconds(spinNanoseconds);
    else if (now > deadline)
      break;
  }
  sleepers.fetch_add(1);
  while (value.load() == old)
    syscall(SYS_futex, &value, FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0);
  sleepers.fetch_sub(1);
}

void ThreadPool::work(int thread) {
  for (uint32_t seen = 0;; ++seen) {
    jobs[size_t(thread)].wait(seen, kJobSpin);
    if (stopping)
      return;
    (*body)(thread, active);
    barrier();
  }
}

void ThreadPool::run(const Body &newBody, int threads) {
  body = &newBody;
  active = threads;
  for (int thread = 1; thread < threads; ++thread)
    jobs[size_t(thread)].raise();
  newBody(0, threads);
  barrier();
}

void ThreadPool::barrier() {
  if (active == 1)
    return;
  const uint32_t now = phase.value.load(std::memory_order_relaxed);
  if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == uint32_t(active)) {
    arrived.store(0, std::memory_order_relaxed);
    phase.raise();
  } else {
    phase.wait(now, kBarrierSpin);
  }
}

} // namespace fairy2
