// SPDX-License-Identifier: Apache-2.0
#include "runtime/Benchmark.h"

#include "runtime/Cores.h"
#include "runtime/Session.h"
#include "runtime/Status.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <fstream>
#include <map>
#include <numeric>
#include <tuple>

#include <sys/mman.h>

namespace fairy2 {
namespace {

/// More than any cache of a core, so that reads come from memory.
constexpr size_t kBandwidthBytesPerThread = size_t(256) << 20;

double secondsOf(const std::function<void()> &work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

Spread spreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

/// Best GB/s of sequential reads by all threads of the pool at once.
double readBandwidth(ThreadPool &pool) {
  constexpr size_t kWords = kBandwidthBytesPerThread / sizeof(uint64_t);
  constexpr size_t kLine = 64 / sizeof(uint64_t);
  constexpr size_t kAhead = 4096 / sizeof(uint64_t);
  const LazyMemory arena(kBandwidthBytesPerThread * uint64_t(pool.size()),
                         "measuring bandwidth");
  // Small pages would measure the page tables as well.
  madvise(arena.data(), kBandwidthBytesPerThread * size_t(pool.size()),
          MADV_HUGEPAGE);
  auto share = [&](int thread) {
    return reinterpret_cast<uint64_t *>(
        arena.data() + kBandwidthBytesPerThread * size_t(thread));
  };
  std::vector<uint64_t> sums(pool.size());
  pool.run([&](int thread, int) {
    std::fill(share(thread), share(thread) + kWords, 1);
  });
  double best = 0;
  for (int repeat = 0; repeat < 7; ++repeat) {
    const double seconds = secondsOf([&] {
      pool.run([&](int thread, int) {
        const uint64_t *words = share(thread);
        uint64_t lanes[kLine] = {};
        for (size_t i = 0; i < kWords; i += kLine) {
          __builtin_prefetch(words + i + kAhead);
          for (size_t lane = 0; lane < kLine; ++lane)
            lanes[lane] += words[i + lane];
        }
        sums[thread] = std::accumulate(lanes, lanes + kLine, uint64_t(0));
      });
    });
    best = std::max(best, double(kBandwidthBytesPerThread) * pool.size() /
                              seconds / 1e9);
  }
  if (sums[0] != kWords)
    throw StatusError(FAIRY2_INTERNAL, "bandwidth: reads were not made");
  return best;
}

int64_t weightBytesPerToken(const Manifest &manifest) {
  int64_t bytes = 0;
  for (const Layer &layer : manifest.layers)
    bytes += layer.bytesPerToken;
  return bytes;
}

/// "model.layers.7.mlp" -> "model.layers.*.mlp".
std::string withoutNumbers(const std::string &name) {
  std::string result;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool isDigit = std::isdigit(static_cast<unsigned char>(name[i]));
    if (!isDigit)
      result += name[i];
    else if (i > 0 && (name[i - 1] == '.' || result.back() == '*'))
      result += result.back() == '*' ? "" : "*";
    else
      result += name[i];
  }
  return result;
}

/// Times every step of the decode of `tokens`.
std::vector<KernelRow> timeKernels(const Model &model, Session &session,
                                   std::span<const int32_t> tokens,
                                   float *logits) {
  using Clock = std::chrono::steady_clock;
  const std::vector<ForwardStep> &steps = model.variant().steps;
  std::vector<std::vector<double>> seconds(steps.size());
  std::vector<Clock::time_point> ends;
  session.observeSteps([&] { ends.push_back(Clock::now()); });
  session.reset(0);
  for (const int32_t token : tokens) {
    ends.assign(1, Clock::now());
    session.eval(0, std::span(&token, 1), Session::Logits::Last, logits);
    ends.push_back(Clock::now());
    if (ends.size() != steps.size() + 1)
      throw StatusError(FAIRY2_INTERNAL,
                        "kernels: expected " + std::to_string(steps.size()) +
                            " steps as in the manifest, found " +
                            std::to_string(ends.size() - 1));
    for (size_t i = 0; i < steps.size(); ++i)
      seconds[i].push_back(
          std::chrono::duration<double>(ends[i + 1] - ends[i]).count());
  }
  session.observeSteps(nullptr);

  std::map<std::tuple<std::string, std::string, std::vector<int64_t>>,
           KernelRow>
      rows;
  double total = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    KernelRow row;
    row.kernel = steps[i].kernel;
    if (steps[i].layer >= 0) {
      const Layer &layer = model.manifest().layers[size_t(steps[i].layer)];
      row.weights = withoutNumbers(layer.name);
      row.shape = layer.shape;
      row.bytes = layer.bytesPerToken;
    }
    KernelRow &sum = rows.try_emplace({row.kernel, row.weights, row.shape}, row)
                         .first->second;
    const double median = spreadOf(seconds[i]).median * 1e6;
    ++sum.calls;
    sum.microseconds += median;
    total += median;
  }
  std::vector<KernelRow> result;
  for (auto &[key, row] : rows) {
    row.threads = session.threads().size();
    row.share = row.microseconds / total;
    row.microseconds /= row.calls;
    row.rate = double(row.bytes) / row.microseconds / 1e3;
    result.push_back(row);
  }
  std::ranges::sort(result, std::greater(), &KernelRow::share);
  return result;
}

/// Any ids do: speed does not depend on them.
std::vector<int32_t> someTokens(int32_t count, int32_t vocabulary) {
  std::vector<int32_t> tokens(count);
  for (int32_t i = 0; i < count; ++i)
    tokens[i] = int32_t(int64_t(i) * 7919 % vocabulary);
  return tokens;
}

void requireCounts(const Model &model, const BenchmarkOptions &options) {
  auto require = [](bool condition, const std::string &text) {
    if (!condition)
      throw StatusError(FAIRY2_BAD_ARGUMENT, text);
  };
  require(options.prompt >= 0 && options.generate >= 0 &&
              options.prompt + options.generate > 0,
          "prompt and gen: expected tokens to measure");
  require(!options.kernels || options.generate > 0,
          "kernels: expected tokens to generate, found gen 0");
  require(options.repeat >= 1, "repeat: expected at least 1, found " +
                                   std::to_string(options.repeat));
  const int32_t most = model.manifest().maxPositions;
  require(options.prompt <= most && options.generate <= most,
          "prompt and gen: expected at most the model's " +
              std::to_string(most) + " positions");
}

} // namespace

std::string cpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      return line.substr(std::min(line.find(':') + 2, line.size()));
  return "unknown";
}

BenchmarkResult benchmark(std::shared_ptr<const Model> model,
                          const BenchmarkOptions &options) {
  requireCounts(*model, options);
  BenchmarkResult result;
  result.cpu = cpuName();
  result.variant = model->variant().name;
  result.batch = model->manifest().batch;
  result.weightBytesPerToken = weightBytesPerToken(model->manifest());
  std::vector<int32_t> threadCounts = options.threads;
  if (threadCounts.empty())
    threadCounts.push_back(usableCores());

  const int32_t vocabulary = model->manifest().vocabSize;
  const std::vector<int32_t> prompt = someTokens(options.prompt, vocabulary);
  const std::vector<int32_t> generated =
      someTokens(options.generate, vocabulary);
  std::vector<float> logits(vocabulary);
  int64_t done = 0;
  const int64_t total = int64_t(threadCounts.size()) * options.repeat;
  for (int32_t threads : threadCounts) {
    SessionOptions sessionOptions;
    sessionOptions.threads = threads;
    sessionOptions.context = std::max(options.prompt, options.generate);
    Session session(model, sessionOptions);
    const double bandwidth = readBandwidth(session.threads());
    // Once without the clock: pages of weights and buffers come in.
    session.eval(0, std::span(prompt.empty() ? generated : prompt).first(1),
                 Session::Logits::Last, logits.data());
    std::vector<double> prefill, decode;
    for (int32_t repeat = 0; repeat < options.repeat; ++repeat) {
      if (options.onProgress)
        options.onProgress(done++, total);
      if (!prompt.empty()) {
        session.reset(0);
        prefill.push_back(options.prompt / secondsOf([&] {
          session.eval(0, prompt, Session::Logits::Last, logits.data());
        }));
      }
      if (!generated.empty()) {
        session.reset(0);
        decode.push_back(options.generate / secondsOf([&] {
          for (int32_t token : generated)
            session.eval(0, std::span(&token, 1), Session::Logits::Last,
                         logits.data());
        }));
      }
    }
    if (!prefill.empty())
      result.rows.push_back({"prefill", options.prompt, threads,
                             spreadOf(prefill), bandwidth, 0, 0});
    if (!decode.empty()) {
      const Spread spread = spreadOf(decode);
      const double rate =
          spread.max * double(result.weightBytesPerToken) / 1e9;
      result.rows.push_back({"decode", options.generate, threads, spread,
                             bandwidth, rate, rate / bandwidth});
    }
    if (options.kernels) {
      const std::vector<KernelRow> rows =
          timeKernels(*model, session, generated, logits.data());
      result.kernels.insert(result.kernels.end(), rows.begin(), rows.end());
    }
  }
  if (options.onProgress)
    options.onProgress(total, total);
  return result;
}

} // namespace fairy2
