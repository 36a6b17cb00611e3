// SPDX-License-Identifier: Apache-2.0
//
// What computes: owns the memory of the KV cache and the workspace, and runs
// one forward pass of a batch. It knows nothing of texts, of what a slot holds
// or of how many tokens a caller has; a Session does. One implementation today:
// the CPU's threads (CpuExecutor).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace fairy2 {

/// The size of a KV cache.
struct CacheShape {
  int32_t slots = 1;
  int32_t positions = 1; ///< of every slot
};

/// Tokens that pass through the model together: tokens[i] is written to
/// position positions[i] of slots[i] and sees all positions up to its own,
/// which were written before or are in the batch. At most the manifest's
/// `batch`.
struct Batch {
  std::span<const int32_t> tokens, slots, positions;
  std::span<const int32_t> rows; ///< the tokens whose logits are wanted
};

class Executor {
public:
  virtual ~Executor() = default;

  /// Runs the batch; `logits` receives float32 [rows][vocab].
  virtual void forward(const Batch &batch, float *logits) = 0;
  /// Copies the first positions of a slot to another one. Throws StatusError
  /// where the model does not tell how its cache lies.
  virtual void copy(int32_t from, int32_t to, int32_t positions) = 0;
  /// The slot's contents are nobody's: its memory goes back.
  virtual void release(int32_t slot) = 0;
  /// Calls `observer` on the caller's thread after each step of the forward
  /// function, all of its work being done, except after the last; null: nobody.
  virtual void observeSteps(std::function<void()> observer) = 0;
  /// How weights reach what computes, in a few words for people.
  virtual std::string memoryAccess() const = 0;
  /// How layers work on many tokens at once, likewise.
  virtual std::string prefillForm() const = 0;
};

} // namespace fairy2
