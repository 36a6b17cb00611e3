// SPDX-License-Identifier: Apache-2.0
//
// A loop over independent pieces of work on as many threads as ATen uses.
// ATen's own parallel_for needs the OpenMP of the compiler that built it.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

namespace fairy2::trainer {

/// Runs body(begin, end) over a partition of [0, count). The result must not
/// depend on the partition. With less work than `grain` pieces per thread,
/// fewer threads run. What a body throws is thrown here, when all have ended.
template <typename Body>
void parallelFor(int64_t count, int64_t grain, const Body &body) {
  const int64_t threads = std::min<int64_t>(
      at::get_num_threads(), count / std::max<int64_t>(grain, 1));
  if (threads <= 1) {
    if (count > 0)
      body(int64_t(0), count);
    return;
  }
  std::vector<std::exception_ptr> thrown(static_cast<size_t>(threads));
  auto runPart = [&](int64_t t) {
    try {
      body(count * t / threads, count * (t + 1) / threads);
    } catch (...) {
      thrown[size_t(t)] = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  others.reserve(size_t(threads - 1));
  for (int64_t t = 1; t < threads; ++t)
    others.emplace_back(runPart, t);
  runPart(0);
  for (std::thread &thread : others)
    thread.join();
  for (const std::exception_ptr &error : thrown)
    if (error)
      std::rethrow_exception(error);
}

/// The same for rows of a matrix, as the quantizers take it (ParallelFor).
inline void
parallelRows(int64_t count,
             const std::function<void(int64_t begin, int64_t end)> &body) {
  parallelFor(count, 64, body);
}

} // namespace fairy2::trainer
