// SPDX-License-Identifier: Apache-2.0
//
// How fast a compiled model runs, beside what the machine's memory allows in
// the same run: the logic of fairy2-bench.
#pragma once

#include "runtime/Model.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fairy2 {

struct BenchmarkOptions {
  int32_t prompt = 128;        ///< tokens of a prefill; 0: no prefill rows
  int32_t generate = 64;       ///< tokens of a decode; 0: no decode rows
  std::vector<int32_t> threads; ///< one set of rows each; empty: all usable
  int32_t repeat = 3;
  std::function<void(int64_t done, int64_t total)> onProgress;
};

struct Spread {
  double min = 0, median = 0, max = 0;
};

struct BenchmarkRow {
  std::string kind; ///< "prefill" or "decode"
  int32_t tokens = 0;
  int32_t threads = 0;
  Spread tokensPerSecond;
  double bandwidth = 0; ///< GB/s that plain reads reach on these threads
  /// GB/s of weights that decode reads at the best rate, and its share of
  /// `bandwidth`; 0 for prefill, which reads them once for many tokens.
  double weightRate = 0, bandwidthFraction = 0;
};

struct BenchmarkResult {
  std::string cpu, variant;
  int64_t weightBytesPerToken = 0;
  std::vector<BenchmarkRow> rows;
};

/// "model name" of /proc/cpuinfo.
std::string cpuName();

/// Throws StatusError when counts are out of range or exceed the context.
BenchmarkResult benchmark(std::shared_ptr<const Model> model,
                          const BenchmarkOptions &options);

} // namespace fairy2
