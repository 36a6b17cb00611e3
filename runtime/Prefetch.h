// SPDX-License-Identifier: Apache-2.0
//
// How far ahead of their use weights are fetched. That depends on the machine,
// its memory and its own prefetcher, not on the instructions of a kernel, so
// it is a value that is chosen when a session starts.
#pragma once

#include "runtime/CpuModel.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fairy2 {

/// Bytes of the weights' stream between what is read and what is asked for, in
/// L1 and in L2; 0: nothing is asked for.
struct Prefetch {
  int64_t l1 = 0, l2 = 0;

  bool operator==(const Prefetch &) const = default;
  /// "1536,8192".
  std::string text() const;
};

/// Where the distances came from, as fairy2-bench tells it.
enum class PrefetchSource { Environment, Table, Measured, Default };
const char *nameOf(PrefetchSource source);

struct ChosenPrefetch {
  Prefetch distances;
  PrefetchSource source = PrefetchSource::Default;
};

/// Distances "L1,L2" in bytes, each 0 to 1 MiB; throws StatusError naming
/// FAIRY2_PREFETCH.
Prefetch parsePrefetch(std::string_view text);
/// The distances that were measured for CPUs of this kind (MEASURED.md).
std::optional<Prefetch> knownPrefetch(const CpuModel &cpu);
/// What is tried on CPUs that are not known, most likely first.
const std::vector<Prefetch> &prefetchCandidates();

/// FAIRY2_PREFETCH if it is set, or the table's distances, or the best of the
/// candidates by `secondsOf` (null: the first of them). "measure" in
/// FAIRY2_PREFETCH passes over the table.
ChosenPrefetch
choosePrefetch(const CpuModel &cpu, const char *environment,
               const std::function<double(const Prefetch &)> &secondsOf);

} // namespace fairy2
