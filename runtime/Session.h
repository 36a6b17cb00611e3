// SPDX-License-Identifier: Apache-2.0
//
// A running model: a KV cache of independent slots, a workspace, and threads.
// Used by one thread at a time.
#pragma once

#include "runtime/Model.h"
#include "runtime/ThreadPool.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace fairy2 {

struct SessionOptions {
  int32_t threads = 0; ///< 0: one per core this process may use
  int32_t context = 0; ///< positions per slot; 0: min(model's maximum, 4096)
  int32_t slots = 1;
};

/// Memory that becomes real page by page, on first touch; zero before that.
class LazyMemory {
public:
  /// `purpose` names the memory in the error thrown when there is none.
  LazyMemory(uint64_t bytes, const std::string &purpose);
  ~LazyMemory();
  LazyMemory(const LazyMemory &) = delete;
  LazyMemory &operator=(const LazyMemory &) = delete;

  uint8_t *data() const { return address; }

private:
  uint8_t *address = nullptr;
  uint64_t bytes;
};

class Session {
public:
  /// Throws StatusError when an option is out of range or memory is missing.
  Session(std::shared_ptr<const Model> model, const SessionOptions &options);

  const Model &model() const { return *owner; }
  int32_t context() const { return positions; }
  int32_t slots() const { return int32_t(lengths.size()); }
  int32_t vocabSize() const { return owner->manifest().vocabSize; }
  ThreadPool &threads() { return pool; }
  /// Calls `observer` on the caller's thread after each step of the forward
  /// function, all threads having met, except after the last; null: nobody.
  void observeSteps(std::function<void()> observer);

  /// How many positions of the slot are filled.
  int32_t length(int32_t slot) const;
  /// Forgets all but the first `length` positions of the slot.
  void reset(int32_t slot, int32_t length = 0);

  /// Throws StatusError unless there is a token and all are in the vocabulary.
  void checkTokens(std::span<const int32_t> tokens) const;

  enum class Logits { None, Last, All };
  /// Appends tokens to a slot, however many. Writes float32 logits of the last
  /// token [vocab] or of all [tokens][vocab]. Nothing is changed when a token,
  /// the slot or the length is out of range.
  void eval(int32_t slot, std::span<const int32_t> tokens, Logits wanted,
            float *logits);
  /// Appends one token to each of several different slots; logits
  /// [slots][vocab], or nullptr if unwanted.
  void evalBatch(std::span<const int32_t> slots,
                 std::span<const int32_t> tokens, float *logits);

private:
  void requireSlot(int32_t slot) const;
  void requireRoom(int32_t slot, size_t tokens) const;
  /// One call of the generated code: batchSlots, batchPositions and rows
  /// describe `tokens`.
  void forward(std::span<const int32_t> tokens, float *logits);

  std::shared_ptr<const Model> owner;
  int32_t positions;       ///< usable positions per slot
  int64_t storedPositions; ///< the same, as a multiple of 16
  std::vector<int32_t> lengths;
  LazyMemory cache;
  LazyMemory workspace;
  ThreadPool pool;
  std::function<void()> observer;
  std::vector<int32_t> batchSlots, batchPositions, rows;
};

} // namespace fairy2
