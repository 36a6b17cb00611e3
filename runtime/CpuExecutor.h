// SPDX-License-Identifier: Apache-2.0
//
// The forward function of a model.so on the threads of a pool.
#pragma once

#include "runtime/Executor.h"
#include "runtime/LazyMemory.h"
#include "runtime/Model.h"
#include "runtime/ThreadPool.h"

#include <memory>

namespace fairy2 {

class CpuExecutor final : public Executor {
public:
  /// `pool` must outlive the executor. Throws StatusError when memory is
  /// missing.
  CpuExecutor(std::shared_ptr<const Model> model, const CacheShape &shape,
              ThreadPool &pool);

  void forward(const Batch &batch, float *logits) override;
  void observeSteps(std::function<void()> observer) override;

private:
  std::shared_ptr<const Model> model;
  int64_t storedPositions; ///< of a slot, as a multiple of 16
  LazyMemory cache;
  LazyMemory workspace;
  ThreadPool &pool;
  std::function<void()> observer;
};

} // namespace fairy2
