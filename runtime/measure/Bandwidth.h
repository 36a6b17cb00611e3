// SPDX-License-Identifier: Apache-2.0
//
// What plain reads of memory reach, measured between other measurements: on a
// machine shared with others it changes within seconds.
#pragma once

#include "runtime/LazyMemory.h"
#include "runtime/ThreadPool.h"

namespace fairy2 {

class BandwidthProbe {
public:
  /// Fills 256 MiB per thread, more than any cache of a core.
  explicit BandwidthProbe(ThreadPool &pool);

  /// GB/s of sequential reads by all threads at once, the better of two passes.
  double measure();

private:
  ThreadPool &pool;
  LazyMemory arena;
  std::vector<uint64_t> sums; ///< keeps the reads from being left out
};

} // namespace fairy2
