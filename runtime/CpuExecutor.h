// SPDX-License-Identifier: Apache-2.0
//
// The forward function of a model.so on the threads of a pool.
#pragma once

#include "runtime/Executor.h"
#include "runtime/LazyMemory.h"
#include "runtime/Model.h"
#include "runtime/Prefetch.h"
#include "runtime/PrefillForm.h"
#include "runtime/ThreadChoice.h"
#include "runtime/ThreadPool.h"
#include "runtime/WeightMapping.h"

#include <chrono>
#include <map>
#include <memory>
#include <utility>

namespace fairy2 {

class CpuExecutor final : public Executor {
public:
  /// `pool` must outlive the executor, which uses all of its threads, or as
  /// many as pay when `choosesThreads`. Throws StatusError when memory is
  /// missing.
  CpuExecutor(std::shared_ptr<const Model> model, const CacheShape &shape,
              HugePages hugePages, ThreadPool &pool, bool choosesThreads);

  void forward(const Batch &batch, float *logits) override;
  void copy(int32_t from, int32_t to, int32_t positions) override;
  void release(int32_t slot) override;
  void observeSteps(std::function<void()> observer) override;
  std::string memoryAccess() const override;
  std::string prefillForm() const override { return prefill.text(); }

private:
  std::chrono::steady_clock::duration timeOfShare(int64_t share,
                                                  const Prefetch &distances);
  double secondsOf(const Prefetch &distances,
                   std::chrono::steady_clock::time_point start);
  /// The choice for batches of about this size.
  ThreadChoice &choiceFor(const Batch &batch);

  std::shared_ptr<const Model> model;
  HugePages hugePages;
  WeightMapping weights;
  int64_t storedPositions; ///< of a slot, as a multiple of 16
  LazyMemory cache;
  LazyMemory workspace;
  ThreadPool &pool;
  ChosenPrefetch prefetch;
  PrefillForm prefill;
  /// Of secondsOf(): shares of a step that it walked once, and timed since.
  int64_t walked = 0, probes = 0;
  std::chrono::steady_clock::duration longestProbe{}, measurement{};
  bool choosesThreads;
  /// By the kind of batch and the most threads that it pays for.
  std::map<std::pair<int, int>, ThreadChoice> choices;
  std::function<void()> observer;
};

} // namespace fairy2
