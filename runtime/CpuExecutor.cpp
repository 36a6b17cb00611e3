// SPDX-License-Identifier: Apache-2.0
//
// Calls generated code on every thread of the pool, with the pool's barrier.
#include "runtime/CpuExecutor.h"

#include "runtime/Status.h"

#include <string>
#include <utility>

namespace fairy2 {
namespace {

/// abi.h: the context is a multiple of it.
constexpr int64_t kPositionBlock = 16;

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
                         const CacheShape &shape, ThreadPool &pool)
    : model(std::move(theModel)),
      storedPositions(roundToBlock(shape.positions)),
      cache(cacheBytes(model->manifest(), shape.slots, storedPositions),
            "KV cache"),
      workspace(uint64_t(model->manifest().workspaceBytes), "workspace"),
      pool(pool) {}

void CpuExecutor::observeSteps(std::function<void()> newObserver) {
  observer = std::move(newObserver);
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
  pool.run([&](int thread, int threads) {
    function(model->weights(), cache.data(), workspace.data(),
             batch.tokens.data(), batch.slots.data(), batch.positions.data(),
             int64_t(batch.tokens.size()), batch.rows.data(),
             int64_t(batch.rows.size()), logits, storedPositions, thread,
             threads, barrier, argument);
  });
}

} // namespace fairy2
