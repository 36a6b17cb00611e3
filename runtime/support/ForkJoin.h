// SPDX-License-Identifier: Apache-2.0
//
// Work on threads that live as long as it does. (What decodes on the threads of
// a session uses runtime/ThreadPool.h.)
#pragma once

#include <cstdint>
#include <functional>

namespace fairy2 {

/// Runs body(thread) for every thread in [0, threads), 0 on the caller's. When
/// all have ended, throws what the first of them threw.
void forkJoin(int threads, const std::function<void(int thread)> &body);

/// Runs body(begin, end) over a partition of [0, count) in at most `threads`
/// ranges, in their order. The result must not depend on the partition.
void forkJoinRanges(
    int threads, int64_t count,
    const std::function<void(int64_t begin, int64_t end)> &body);

} // namespace fairy2
