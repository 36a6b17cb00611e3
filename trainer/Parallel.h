// SPDX-License-Identifier: Apache-2.0
//
// A loop over independent pieces of work on as many threads as ATen uses.
// ATen's own parallel_for needs the OpenMP of the compiler that built it.
#pragma once

#include "runtime/support/ForkJoin.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <functional>

namespace fairy2::trainer {

/// Runs body(begin, end) over a partition of [0, count). The result must not
/// depend on the partition. With less work than `grain` pieces per thread,
/// fewer threads run.
inline void
parallelFor(int64_t count, int64_t grain,
            const std::function<void(int64_t begin, int64_t end)> &body) {
  const int64_t useful = count / std::max<int64_t>(grain, 1);
  forkJoinRanges(int(std::min<int64_t>(at::get_num_threads(), useful)), count,
                 body);
}

/// The same for rows of a matrix, as the quantizers take it (ParallelFor).
inline void
parallelRows(int64_t count,
             const std::function<void(int64_t begin, int64_t end)> &body) {
  parallelFor(count, 64, body);
}

} // namespace fairy2::trainer
