// SPDX-License-Identifier: Apache-2.0
//
// Sums a buffer that no cache holds, on all threads of a session's pool.
#include "runtime/measure/Bandwidth.h"

#include "runtime/Status.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include <sys/mman.h>

namespace fairy2 {
namespace {

constexpr size_t kBytesPerThread = size_t(256) << 20;
constexpr size_t kWords = kBytesPerThread / sizeof(uint64_t);
constexpr size_t kLine = 64 / sizeof(uint64_t);
constexpr size_t kAhead = 4096 / sizeof(uint64_t);

uint64_t sumOf(const uint64_t *words) {
  uint64_t lanes[kLine] = {};
  for (size_t i = 0; i < kWords; i += kLine) {
    __builtin_prefetch(words + i + kAhead);
    for (size_t lane = 0; lane < kLine; ++lane)
      lanes[lane] += words[i + lane];
  }
  return std::accumulate(lanes, lanes + kLine, uint64_t(0));
}

} // namespace

BandwidthProbe::BandwidthProbe(ThreadPool &pool)
    : pool(pool),
      arena(kBytesPerThread * uint64_t(pool.size()), "measuring bandwidth"),
      sums(size_t(pool.size())) {
  // Small pages would measure the page tables as well.
  madvise(arena.data(), kBytesPerThread * size_t(pool.size()), MADV_HUGEPAGE);
  pool.run([&](int thread, int) {
    auto *words = reinterpret_cast<uint64_t *>(
        arena.data() + kBytesPerThread * size_t(thread));
    std::fill(words, words + kWords, 1);
  });
}

double BandwidthProbe::measure() {
  double best = 0;
  for (int pass = 0; pass < 2; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    pool.run([&](int thread, int) {
      sums[size_t(thread)] = sumOf(reinterpret_cast<const uint64_t *>(
          arena.data() + kBytesPerThread * size_t(thread)));
    });
    const std::chrono::duration<double> seconds =
        std::chrono::steady_clock::now() - start;
    best = std::max(best, double(kBytesPerThread) * pool.size() /
                              seconds.count() / 1e9);
  }
  if (sums[0] != kWords)
    throw StatusError(FAIRY2_INTERNAL, "bandwidth: reads were not made");
  return best;
}

} // namespace fairy2
