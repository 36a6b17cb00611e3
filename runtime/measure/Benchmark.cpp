// SPDX-License-Identifier: Apache-2.0
//
// Repeats prefill and decode, with reads of memory between them, and takes
// medians.
#include "runtime/measure/Benchmark.h"

#include "runtime/Cores.h"
#include "runtime/Session.h"
#include "runtime/Status.h"
#include "runtime/measure/Bandwidth.h"
#include "runtime/measure/SamplingTimes.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <fstream>
#include <map>
#include <numeric>
#include <tuple>

namespace fairy2 {
namespace {

/// Bandwidth is measured this often in a run of decodes.
constexpr int32_t kPiecesOfADecode = 4;

double secondsOf(const std::function<void()> &work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
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

/// Any ids do: speed does not depend on them.
std::vector<int32_t> someTokens(int32_t count, int32_t vocabulary) {
  std::vector<int32_t> tokens(count);
  for (int32_t i = 0; i < count; ++i)
    tokens[i] = int32_t(int64_t(i) * 7919 % vocabulary);
  return tokens;
}

/// Times every step of the decode of options.generate tokens.
std::vector<KernelRow> timeKernels(const Model &model, Session &session,
                                   const BenchmarkOptions &options) {
  const std::vector<int32_t> history =
      someTokens(options.depth, session.vocabSize());
  const std::vector<int32_t> tokens =
      someTokens(options.generate, session.vocabSize());
  std::vector<float> logits(size_t(session.vocabSize()));
  session.reset(0);
  if (!history.empty())
    session.eval(0, history, Session::Logits::None, nullptr);
  using Clock = std::chrono::steady_clock;
  const std::vector<ForwardStep> &steps = model.variant().steps;
  std::vector<std::vector<double>> seconds(steps.size());
  std::vector<Clock::time_point> ends;
  session.observeSteps([&] { ends.push_back(Clock::now()); });
  for (const int32_t token : tokens) {
    ends.assign(1, Clock::now());
    session.eval(0, std::span(&token, 1), Session::Logits::Last, logits.data());
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

void require(bool condition, const std::string &text) {
  if (!condition)
    throw StatusError(FAIRY2_BAD_ARGUMENT, text);
}

void requireRoom(const Model &model, const BenchmarkOptions &options) {
  const int64_t most = model.manifest().maxPositions;
  require(options.prompt <= most &&
              int64_t(options.depth) + options.generate <= most,
          "prompt, and depth and gen together: expected at most the model's " +
              std::to_string(most) + " positions");
}

/// Runs a token in each of the first `batch` slots per step, after
/// `options.depth` positions that are there already.
class DecodeRun {
public:
  DecodeRun(Session &session, const BenchmarkOptions &options, int32_t batch)
      : session(session), options(options), slots(size_t(batch)),
        tokens(size_t(batch)),
        logits(size_t(batch) * size_t(session.vocabSize())) {
    std::iota(slots.begin(), slots.end(), 0);
    const std::vector<int32_t> history =
        someTokens(options.depth, session.vocabSize());
    for (const int32_t slot : slots) {
      session.reset(slot);
      if (!history.empty())
        session.eval(slot, history, Session::Logits::None, nullptr);
    }
  }

  /// One run of options.generate steps, with the probe in between.
  struct Rates {
    double stepsPerSecond, bandwidth;
  };
  Rates measure(BandwidthProbe &probe) {
    double seconds = 0, bandwidth = 0;
    int32_t done = 0;
    rewind(0);
    for (int32_t piece = 1; piece <= kPiecesOfADecode; ++piece) {
      const int32_t end = options.generate * piece / kPiecesOfADecode;
      bandwidth += probe.measure() / kPiecesOfADecode;
      // The probe has filled the caches; one step brings the weights back.
      if (done < end) {
        step(done);
        rewind(done);
      }
      seconds += secondsOf([&] {
        for (; done < end; ++done)
          step(done);
      });
    }
    return {options.generate / seconds, bandwidth};
  }

private:
  void step(int32_t index) {
    for (size_t i = 0; i < tokens.size(); ++i)
      tokens[i] =
          int32_t((int64_t(index) + int64_t(i)) * 7919 % session.vocabSize());
    session.evalBatch(slots, tokens, logits.data());
  }
  void rewind(int32_t generated) {
    for (const int32_t slot : slots)
      session.reset(slot, options.depth + generated);
  }

  Session &session;
  const BenchmarkOptions &options;
  std::vector<int32_t> slots, tokens;
  std::vector<float> logits;
};

BenchmarkRow measureDecode(Session &session, BandwidthProbe &probe,
                           const BenchmarkOptions &options, int32_t batch,
                           int64_t weightBytes,
                           const std::function<void()> &onRun) {
  DecodeRun run(session, options, batch);
  std::vector<double> rates, bandwidths, fractions;
  for (int32_t repeat = 0; repeat < options.repeat; ++repeat) {
    onRun();
    const auto [stepsPerSecond, bandwidth] = run.measure(probe);
    rates.push_back(stepsPerSecond * batch);
    bandwidths.push_back(bandwidth);
    fractions.push_back(stepsPerSecond * double(weightBytes) / 1e9 / bandwidth);
  }
  BenchmarkRow row;
  row.kind = "decode";
  row.tokens = options.generate;
  row.threads = session.threads().size();
  row.batch = batch;
  row.depth = options.depth;
  row.tokensPerSecond = spreadOf(rates);
  row.bandwidth = spreadOf(bandwidths).median;
  row.weightRate =
      row.tokensPerSecond.median / batch * double(weightBytes) / 1e9;
  row.bandwidthFraction = spreadOf(fractions).median;
  return row;
}

BenchmarkRow measurePrefill(Session &session, BandwidthProbe &probe,
                            const BenchmarkOptions &options,
                            const std::function<void()> &onRun) {
  const std::vector<int32_t> prompt =
      someTokens(options.prompt, session.vocabSize());
  std::vector<float> logits(size_t(session.vocabSize()));
  std::vector<double> rates;
  for (int32_t repeat = 0; repeat < options.repeat; ++repeat) {
    onRun();
    session.reset(0);
    rates.push_back(options.prompt / secondsOf([&] {
                      session.eval(0, prompt, Session::Logits::Last,
                                   logits.data());
                    }));
  }
  BenchmarkRow row;
  row.kind = "prefill";
  row.tokens = options.prompt;
  row.threads = session.threads().size();
  row.tokensPerSecond = spreadOf(rates);
  row.bandwidth = probe.measure();
  return row;
}

/// "model name" of /proc/cpuinfo.
std::string cpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name"))
      return line.substr(std::min(line.find(':') + 2, line.size()));
  return "unknown";
}

} // namespace

void checkCounts(const BenchmarkOptions &options) {
  const auto requireLeast = [](const char *name, int32_t least, int32_t found) {
    require(found >= least, std::string(name) + ": expected at least " +
                                std::to_string(least) + ", found " +
                                std::to_string(found));
  };
  requireLeast("prompt", 0, options.prompt);
  requireLeast("gen", 0, options.generate);
  requireLeast("depth", 0, options.depth);
  requireLeast("repeat", 1, options.repeat);
  require(options.sampling || options.prompt > 0 || options.generate > 0,
          "prompt and gen: expected tokens to measure");
  require(!options.kernels || options.generate > 0,
          "kernels: expected tokens to generate, found gen 0");
  for (const int32_t batch : options.batches)
    require(batch >= 1 && batch <= kMaxBatch,
            "batch: expected 1 to " + std::to_string(kMaxBatch) + ", found " +
                std::to_string(batch));
  for (const int32_t threads : options.threads)
    checkThreads(threads);
}

BenchmarkResult benchmark(std::shared_ptr<const Model> model,
                          const BenchmarkOptions &options) {
  checkCounts(options);
  requireRoom(*model, options);
  BenchmarkResult result;
  result.cpu = cpuName();
  result.variant = model->variant().name;
  result.batch = model->manifest().batch;
  result.weightBytesPerToken = model->manifest().weightBytesPerToken();
  std::vector<int32_t> threadCounts = options.threads;
  if (threadCounts.empty())
    threadCounts.push_back(usableCores());
  const int32_t mostSlots = std::ranges::max(options.batches);

  const int64_t runs = (options.prompt > 0) +
                       (options.generate > 0) * int64_t(options.batches.size());
  int64_t done = 0;
  const int64_t total = int64_t(threadCounts.size()) * options.repeat * runs;
  auto onRun = [&] {
    if (options.onProgress)
      options.onProgress(done++, total);
  };
  for (int32_t threads : threadCounts) {
    SessionOptions sessionOptions;
    sessionOptions.threads = threads;
    sessionOptions.slots = mostSlots;
    sessionOptions.hugePages = options.hugePages;
    sessionOptions.context =
        std::max({options.prompt, options.depth + options.generate, 1});
    Session session(model, sessionOptions);
    result.memoryAccess = session.memoryAccess();
    result.prefillForm = session.prefillForm();
    BandwidthProbe probe(session.threads());
    // Once without the clock: pages of weights and buffers come in.
    session.eval(0, someTokens(1, session.vocabSize()), Session::Logits::None,
                 nullptr);
    if (options.prompt > 0)
      result.rows.push_back(measurePrefill(session, probe, options, onRun));
    if (options.generate > 0)
      for (const int32_t batch : options.batches)
        result.rows.push_back(measureDecode(session, probe, options, batch,
                                            result.weightBytesPerToken, onRun));
    if (options.kernels) {
      const std::vector<KernelRow> rows = timeKernels(*model, session, options);
      result.kernels.insert(result.kernels.end(), rows.begin(), rows.end());
    }
  }
  if (options.sampling)
    result.sampling = timeSampling(model->manifest().vocabSize);
  if (options.onProgress)
    options.onProgress(total, total);
  return result;
}

} // namespace fairy2
