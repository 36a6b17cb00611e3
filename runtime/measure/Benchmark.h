// SPDX-License-Identifier: Apache-2.0
//
// How fast a compiled model runs, beside what the machine's memory allows in
// the same run: the logic of fairy2-bench.
#pragma once

#include "runtime/Model.h"
#include "runtime/WeightMapping.h"
#include "runtime/measure/Spread.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace fairy2 {

/// Most sequences of one decode.
constexpr int32_t kMaxBatch = 1024;

struct BenchmarkOptions {
  int32_t prompt = 128;  ///< tokens of a prefill; 0: no prefill rows
  int32_t generate = 64; ///< tokens of a decode; 0: no decode rows
  int32_t depth = 0;     ///< positions in the cache before a decode
  std::vector<int32_t> batches = {1}; ///< sequences decoded together
  std::vector<int32_t> threads; ///< one set of rows each; empty: all usable
  int32_t repeat = 3;
  HugePages hugePages = HugePages::Auto;
  bool kernels = false;  ///< also time every step of a decoded token
  bool sampling = false; ///< also time the choice of the next token
  std::function<void(int64_t done, int64_t total)> onProgress;
};

struct BenchmarkRow {
  std::string kind; ///< "prefill" or "decode"
  int32_t tokens = 0;
  int32_t threads = 0;
  int32_t batch = 1;      ///< sequences of a decode
  int32_t depth = 0;      ///< positions before it
  Spread tokensPerSecond; ///< of all sequences together
  /// GB/s that plain reads reach on these threads: the median over the runs,
  /// each measured between its tokens.
  double bandwidth = 0;
  /// GB/s of weights that the median decode reads, and the median over the runs
  /// of its share of the bandwidth; 0 for prefill, which reads weights once for
  /// many tokens.
  double weightRate = 0, bandwidthFraction = 0;
};

/// The steps of a decoded token that run one kernel on weights of one shape.
struct KernelRow {
  std::string kernel;
  /// Weights, with * for the number of the layer; empty: reads none.
  std::string weights;
  std::vector<int64_t> shape; ///< of the weights, [out, in]
  int32_t threads = 0;
  int32_t calls = 0;       ///< per token
  double microseconds = 0; ///< of one call with its barrier: the median token's
  int64_t bytes = 0;       ///< of weights that one call reads
  double rate = 0;         ///< GB/s
  double share = 0;        ///< of the token's time
};

/// One kind of sampling on one kind of logits.
struct SamplingRow {
  std::string sampling; ///< such as "temperature 0.8, top-p 0.95"
  std::string logits;   ///< "flat", "normal" or "peaked"
  int32_t vocabulary = 0;
  Spread microseconds; ///< of one call
};

struct BenchmarkResult {
  std::string cpu, variant;
  std::string memoryAccess; ///< Executor::memoryAccess
  std::string prefillForm;  ///< Executor::prefillForm
  int32_t batch = 0;        ///< most tokens of one pass over the weights
  int64_t weightBytesPerToken = 0;
  std::vector<BenchmarkRow> rows;
  std::vector<KernelRow> kernels; ///< by threads, then the most time first
  std::vector<SamplingRow> sampling;
};

/// Throws StatusError naming what is out of range for any model.
void checkCounts(const BenchmarkOptions &options);

/// Throws StatusError when counts are out of range or exceed the context.
BenchmarkResult benchmark(std::shared_ptr<const Model> model,
                          const BenchmarkOptions &options);

} // namespace fairy2
