// SPDX-License-Identifier: Apache-2.0
//
// Calls generated code on every thread of the pool, with the pool's barrier.
#include "runtime/CpuExecutor.h"

#include "runtime/Status.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace fairy2 {
namespace {

using Clock = std::chrono::steady_clock;

/// What one probe reads: a millisecond's worth.
constexpr int64_t kProbeBytes = 16 << 20;
constexpr int64_t kProbes = 10;
constexpr int kProbesPerCandidate = 2;
/// What a start may wait for the choice, and for what comes before it.
constexpr std::chrono::milliseconds kMeasurement{50}, kFirstWalk{25};

/// abi.h: the context is a multiple of it.
constexpr int64_t kPositionBlock = 16;

/// Weights and cache that a thread reads in a pass, at the least: what takes it
/// some tens of microseconds, beside the barriers of some dozens of steps.
constexpr int64_t kBytesPerThread = 1 << 20;

int64_t roundToBlock(int64_t positions) {
  return (positions + kPositionBlock - 1) / kPositionBlock * kPositionBlock;
}

uint64_t cacheBytes(const Manifest &manifest, int64_t slots,
                    int64_t positions) {
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(uint64_t(slots * positions),
                             uint64_t(manifest.cacheBytesPerPosition), &bytes))
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "context: expected a KV cache that fits into memory, "
                      "found " +
                          std::to_string(slots) + " slots of " +
                          std::to_string(positions) + " positions");
  return bytes;
}

} // namespace

CpuExecutor::CpuExecutor(std::shared_ptr<const Model> theModel,
                         const CacheShape &shape, HugePages hugePages,
                         ThreadPool &pool, bool choosesThreads)
    : model(std::move(theModel)), hugePages(hugePages),
      weights(model->file(), model->manifest().weights, hugePages),
      storedPositions(roundToBlock(shape.positions)),
      cache(cacheBytes(model->manifest(), shape.slots, storedPositions),
            "KV cache"),
      workspace(uint64_t(model->manifest().workspaceBytes), "workspace"),
      pool(pool), prefill(choosePrefillForm(model->variant(),
                                            std::getenv("FAIRY2_PREFILL"))),
      choosesThreads(choosesThreads) {
  // Weights that stay in a cache need no fetching ahead.
  const Clock::time_point start = Clock::now();
  prefetch = choosePrefetch(
      cpuModel(), std::getenv("FAIRY2_PREFETCH"),
      model->manifest().weightBytesPerToken() >= kProbes * kProbeBytes
          ? [&](const Prefetch &p) { return secondsOf(p, start); }
          : std::function<double(const Prefetch &)>());
  measurement = Clock::now() - start;
}

/// The time that one thread takes for share number `share` of a step of one
/// token. The workspace is all zeros and stays almost so, since one token's
/// activations are not this share's work: the walk over the weights is that of
/// a real step, its result is nothing.
Clock::duration CpuExecutor::timeOfShare(int64_t share,
                                         const Prefetch &distances) {
  // The first share does what steps give to one thread, the last one what a
  // single token's rows need: both are left out.
  const int64_t shares =
      model->manifest().weightBytesPerToken() / kProbeBytes + 2;
  const int32_t zero = 0;
  std::vector<float> logits(size_t(model->manifest().vocabSize));
  const Clock::time_point start = Clock::now();
  model->forward()(
      weights.bytes().data(), cache.data(), workspace.data(), &zero, &zero,
      &zero, 1, &zero, 1, logits.data(), storedPositions, distances.l1,
      distances.l2, prefill.productsFrom, share + 1, shares, [](void *) {},
      nullptr);
  return Clock::now() - start;
}

/// The better time of some shares; infinite where a measurement that began at
/// `start` has no time left.
double CpuExecutor::secondsOf(const Prefetch &distances,
                              Clock::time_point start) {
  // A first walk waits for pages and not for memory. It is made beforehand, of
  // all shares, so that none of them is left in a cache.
  if (probes == 0)
    while (walked < kProbes && Clock::now() - start < kFirstWalk)
      longestProbe = std::max(longestProbe, timeOfShare(walked++, Prefetch()));
  auto best = Clock::duration::max();
  for (int i = 0; i < kProbesPerCandidate; ++i) {
    if (Clock::now() - start + longestProbe > kMeasurement)
      break;
    best = std::min(best, timeOfShare(probes++ % walked, distances));
  }
  return best == Clock::duration::max()
             ? std::numeric_limits<double>::infinity()
             : std::chrono::duration<double>(best).count();
}

std::string CpuExecutor::memoryAccess() const {
  std::string source = nameOf(prefetch.source);
  if (prefetch.source == PrefetchSource::Measured)
    source += " in " +
              std::to_string(
                  std::chrono::round<std::chrono::milliseconds>(measurement)
                      .count()) +
              " ms";
  return std::string("huge pages ") + nameOf(hugePages) + ", prefetch " +
         prefetch.distances.text() + " (" + source + ")";
}

void CpuExecutor::copy(int32_t from, int32_t to, int32_t positions) {
  const Manifest &manifest = model->manifest();
  if (manifest.cachePlanes.empty())
    throw StatusError(FAIRY2_UNSUPPORTED,
                      model->path() + ": cache.planes: expected a list, found "
                                      "none: the model was compiled before "
                                      "slots could be copied");
  const auto context = uint64_t(storedPositions);
  const uint64_t slotBytes = context * uint64_t(manifest.cacheBytesPerPosition);
  const uint8_t *source = cache.data() + uint64_t(from) * slotBytes;
  uint8_t *target = cache.data() + uint64_t(to) * slotBytes;
  // Of a started block of positions all; what lies behind is nobody's.
  const auto count = uint64_t(roundToBlock(positions));
  for (int64_t layer = 0; layer < manifest.cacheLayers; ++layer)
    for (const auto &[arrays, bytes] : manifest.cachePlanes)
      for (int64_t i = 0; i < arrays; ++i) {
        std::memcpy(target, source, count * uint64_t(bytes));
        source += context * uint64_t(bytes);
        target += context * uint64_t(bytes);
      }
}

void CpuExecutor::release(int32_t slot) {
  const uint64_t bytes = uint64_t(storedPositions) *
                         uint64_t(model->manifest().cacheBytesPerPosition);
  cache.release(uint64_t(slot) * bytes, bytes);
}

void CpuExecutor::observeSteps(std::function<void()> newObserver) {
  observer = std::move(newObserver);
}

ThreadChoice &CpuExecutor::choiceFor(const Batch &batch) {
  // Batches of one kind take about the same time for a token.
  const int kind =
      2 * std::bit_width(batch.tokens.size()) + (batch.rows.size() > 1 ? 1 : 0);
  const Manifest &manifest = model->manifest();
  int64_t work = 0;
  for (const int32_t position : batch.positions)
    work += manifest.weightBytesPerToken() +
            (position + 1) * manifest.cacheBytesPerPosition;
  // In powers of two, so that a growing context seldom changes it.
  const auto most =
      int(std::clamp<uint64_t>(std::bit_floor(uint64_t(work / kBytesPerThread)),
                               1, uint64_t(pool.size())));
  return choices.try_emplace({kind, most}, most).first->second;
}

void CpuExecutor::forward(const Batch &batch, float *logits) {
  const Fairy2Forward function = model->forward();
  struct Observed {
    ThreadPool &pool;
    const std::function<void()> &observer;
    std::thread::id caller = std::this_thread::get_id();
  } observed{pool, observer};
  const Fairy2Barrier observedBarrier = [](void *argument) {
    const Observed &my = *static_cast<Observed *>(argument);
    my.pool.barrier();
    if (std::this_thread::get_id() == my.caller)
      my.observer();
  };
  const Fairy2Barrier barrier =
      observer ? observedBarrier : &ThreadPool::barrierOf;
  void *argument = observer ? static_cast<void *>(&observed) : &pool;
  ThreadChoice *choice = choosesThreads ? &choiceFor(batch) : nullptr;
  const auto start = std::chrono::steady_clock::now();
  const auto body = [&](int thread, int threads) {
    function(weights.bytes().data(), cache.data(), workspace.data(),
             batch.tokens.data(), batch.slots.data(), batch.positions.data(),
             int64_t(batch.tokens.size()), batch.rows.data(),
             int64_t(batch.rows.size()), logits, storedPositions,
             prefetch.distances.l1, prefetch.distances.l2, prefill.productsFrom,
             thread, threads, barrier, argument);
  };
  pool.run(body, choice ? choice->threads() : pool.size());
  if (!choice)
    return;
  // As if the batch were the largest of its kind.
  const size_t tokens = batch.tokens.size();
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - start;
  choice->took(took.count() * double(std::bit_ceil(tokens + 1) - 1) /
               double(tokens));
}

} // namespace fairy2
