// SPDX-License-Identifier: Apache-2.0
//
// What the server counts, as Prometheus reads it. No label comes from a
// client's text. Used on the I/O thread alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fairy2::serve {

/// Counts of values up to each bound, and their sum.
class Histogram {
public:
  explicit Histogram(std::vector<double> bounds)
      : bounds(std::move(bounds)), counts(this->bounds.size() + 1) {}

  void add(double value);
  /// Its lines under `name`.
  std::string text(const std::string &name) const;

private:
  std::vector<double> bounds;
  std::vector<uint64_t> counts; ///< the last: beyond all bounds
  double sum = 0;
};

class Metrics {
public:
  Metrics();

  /// `route` is one of the server's own.
  void addRequest(std::string_view route, int status, double seconds);
  void addCancelled(std::string_view reason) { ++cancelled[reason]; }

  Histogram requestSeconds, firstTokenSeconds, tokenGapSeconds, stepSeconds;
  uint64_t promptTokens = 0, cachedTokens = 0, generatedTokens = 0;

  /// What is true now, and not counted.
  struct Now {
    size_t running = 0, waiting = 0;
    int64_t heldBytes = 0, reservedBytes = 0; ///< of the KV cache
    std::string model;
  };
  std::string text(const Now &now) const;

private:
  std::map<std::pair<std::string_view, int>, uint64_t> requests;
  std::map<std::string_view, uint64_t> cancelled;
};

} // namespace fairy2::serve
