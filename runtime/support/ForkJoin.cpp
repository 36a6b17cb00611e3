// SPDX-License-Identifier: Apache-2.0
//
// Threads that end with the call, and the first error of theirs.
#include "runtime/support/ForkJoin.h"

#include <algorithm>
#include <exception>
#include <thread>
#include <vector>

namespace fairy2 {

void forkJoin(int threads, const std::function<void(int thread)> &body) {
  std::vector<std::exception_ptr> errors(static_cast<size_t>(threads));
  const auto run = [&](int thread) {
    try {
      body(thread);
    } catch (...) {
      errors[size_t(thread)] = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> others;
    for (int thread = 1; thread < threads; ++thread)
      others.emplace_back(run, thread);
    run(0);
  }
  for (const std::exception_ptr &error : errors)
    if (error)
      std::rethrow_exception(error);
}

void forkJoinRanges(
    int threads, int64_t count,
    const std::function<void(int64_t begin, int64_t end)> &body) {
  if (count == 0)
    return;
  const int64_t parts = std::clamp<int64_t>(threads, 1, count);
  if (parts == 1)
    return body(0, count);
  forkJoin(int(parts), [&](int part) {
    body(count * part / parts, count * (part + 1) / parts);
  });
}

} // namespace fairy2
