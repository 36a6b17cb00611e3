// SPDX-License-Identifier: Apache-2.0
//
// The table of distances by CPU, and the choice for CPUs that are not in it.
#include "runtime/Prefetch.h"

#include "runtime/Status.h"

#include <charconv>
#include <limits>

namespace fairy2 {
namespace {

constexpr int64_t kMaxDistance = 1 << 20;
constexpr std::string_view kMeasure = "measure";

struct KnownCpu {
  std::string_view vendor;
  int family, firstModel, lastModel;
  Prefetch distances;
};

/// Measured with tools/sweep-prefetch.sh; MEASURED.md has the sweeps. A family
/// of AMD's is a core design or two: of family 25 models up to 15 are Zen 3 and
/// models from 16 on Zen 4 (and, of clients, some Zen 3 again).
constexpr KnownCpu kKnown[] = {
    {"AuthenticAMD", 25, 16, 31, {1536, 8192}},   // Zen 4: Genoa
    {"AuthenticAMD", 25, 160, 175, {1536, 8192}}, // Zen 4c: Bergamo, Siena
    {"AuthenticAMD", 26, 0, 255, {8192, 0}},      // Zen 5
};

} // namespace

std::string Prefetch::text() const {
  return std::to_string(l1) + "," + std::to_string(l2);
}

const char *nameOf(PrefetchSource source) {
  switch (source) {
  case PrefetchSource::Environment:
    return "environment";
  case PrefetchSource::Table:
    return "table";
  case PrefetchSource::Measured:
    return "measured";
  case PrefetchSource::Default:
    return "default";
  }
  return "";
}

Prefetch parsePrefetch(std::string_view text) {
  Prefetch result;
  const char *at = text.data(), *const end = at + text.size();
  const auto number = [&](int64_t &value) {
    const auto [next, error] = std::from_chars(at, end, value);
    const bool fits =
        error == std::errc() && value >= 0 && value <= kMaxDistance;
    at = next;
    return fits;
  };
  if (number(result.l1) && at != end && *at++ == ',' && number(result.l2) &&
      at == end)
    return result;
  throw StatusError(FAIRY2_BAD_ARGUMENT,
                    "FAIRY2_PREFETCH: expected the distances for L1 and L2 "
                    "in bytes, such as 1536,8192, each at most " +
                        std::to_string(kMaxDistance) + ", or measure, found '" +
                        std::string(text) + "'");
}

std::optional<Prefetch> knownPrefetch(const CpuModel &cpu) {
  for (const KnownCpu &known : kKnown)
    if (known.vendor == cpu.vendor && known.family == cpu.family &&
        known.firstModel <= cpu.model && cpu.model <= known.lastModel)
      return known.distances;
  return std::nullopt;
}

const std::vector<Prefetch> &prefetchCandidates() {
  static const std::vector<Prefetch> candidates = {
      {1536, 8192}, {8192, 0}, {4096, 0}, {2048, 16384}, {0, 0}};
  return candidates;
}

ChosenPrefetch
choosePrefetch(const CpuModel &cpu, const char *environment,
               const std::function<double(const Prefetch &)> &secondsOf) {
  const bool ignoresTable = environment && environment == kMeasure;
  if (environment && !ignoresTable)
    return {parsePrefetch(environment), PrefetchSource::Environment};
  if (const auto known = knownPrefetch(cpu); known && !ignoresTable)
    return {*known, PrefetchSource::Table};
  ChosenPrefetch best{prefetchCandidates().front(), PrefetchSource::Default};
  if (!secondsOf)
    return best;
  best.source = PrefetchSource::Measured;
  double least = std::numeric_limits<double>::infinity();
  for (const Prefetch &candidate : prefetchCandidates())
    if (const double seconds = secondsOf(candidate); seconds < least) {
      least = seconds;
      best.distances = candidate;
    }
  return best;
}

} // namespace fairy2
