// SPDX-License-Identifier: Apache-2.0
//
// A running model: independent slots of a KV cache, the tokens that each holds,
// and the way from what a caller appends to the batches that an Executor runs.
// Used by one thread at a time, and by the process that made it alone.
#pragma once

#include "runtime/Executor.h"
#include "runtime/Model.h"
#include "runtime/ThreadPool.h"
#include "runtime/WeightMapping.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace fairy2 {

struct SessionOptions {
  int32_t threads = 0; ///< 0: as many usable cores as pay
  int32_t context = 0; ///< positions per slot; 0: min(model's maximum, 4096)
  int32_t slots = 1;
  HugePages hugePages = HugePages::Auto;
};

/// Throws StatusError unless a session can be asked for so many threads.
void checkThreads(int32_t asked);

class Session {
public:
  /// Throws StatusError when an option is out of range or memory is missing.
  Session(std::shared_ptr<const Model> model, const SessionOptions &options);

  const Model &model() const { return *owner; }
  const std::shared_ptr<const Model> &sharedModel() const { return owner; }
  int32_t context() const { return positions; }
  int32_t slots() const { return int32_t(held.size()); }
  int32_t vocabSize() const { return owner->manifest().vocabSize; }
  ThreadPool &threads() { return pool; }
  /// Executor::observeSteps.
  void observeSteps(std::function<void()> observer);
  /// Executor::memoryAccess.
  std::string memoryAccess() const { return executor->memoryAccess(); }
  /// Executor::prefillForm.
  std::string prefillForm() const { return executor->prefillForm(); }

  /// The tokens that the slot holds.
  std::span<const int32_t> tokens(int32_t slot) const;
  /// How many positions of the slot are filled.
  int32_t length(int32_t slot) const { return int32_t(tokens(slot).size()); }
  /// Forgets all but the first `length` positions of the slot.
  void reset(int32_t slot, int32_t length = 0);

  /// Whether copy() can be used: files of older compilers do not tell how.
  bool canCopy() const { return !owner->manifest().cachePlanes.empty(); }
  /// Makes slot `to` hold the first `length` tokens of slot `from`, as if they
  /// had been appended to it.
  void copy(int32_t from, int32_t to, int32_t length);
  /// Empties the slot and gives its memory back.
  void release(int32_t slot);

  /// Throws StatusError unless there is a token and all are in the vocabulary.
  void checkTokens(std::span<const int32_t> tokens) const;

  enum class Logits { None, Last, All };
  /// Tokens to append to a slot, and which logits of them are wanted.
  struct Piece {
    int32_t slot;
    std::span<const int32_t> tokens;
    Logits wanted;
  };
  /// Appends pieces, each to a slot of its own, in as few batches as they fit
  /// into. Writes the wanted float32 logits, one row [vocab] after the other in
  /// the pieces' order. Nothing is changed when a token, a slot or a length is
  /// out of range.
  void step(std::span<const Piece> pieces, float *logits);
  /// The same of one piece.
  void eval(int32_t slot, std::span<const int32_t> tokens, Logits wanted,
            float *logits);
  /// Appends one token to each of several different slots; logits
  /// [slots][vocab], or nullptr if unwanted.
  void evalBatch(std::span<const int32_t> slots,
                 std::span<const int32_t> tokens, float *logits);

private:
  void requireSlot(int32_t slot) const;
  void requireRoom(int32_t slot, size_t tokens) const;
  void requireDifferentSlots(std::span<const Piece> pieces) const;
  /// Runs what batchTokens and its companions hold, and empties them. Returns
  /// where the next rows of logits go.
  float *flush(float *logits);

  std::shared_ptr<const Model> owner;
  int32_t positions; ///< usable positions per slot
  std::vector<std::vector<int32_t>> held;
  ThreadPool pool;
  std::unique_ptr<Executor> executor;
  int process; ///< the one that has the pool's threads
  std::vector<int32_t> batchTokens, batchSlots, batchPositions, rows;
};

} // namespace fairy2
