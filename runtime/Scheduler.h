// SPDX-License-Identifier: Apache-2.0
//
// Advances many sequences over the slots of one session, together in shared
// batches. What a sequence generates does not depend on the others: it equals,
// bit for bit, what it generates alone. Used by one thread at a time.
#pragma once

#include "runtime/Sequence.h"
#include "runtime/Session.h"
#include "runtime/SlotCache.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

namespace fairy2 {

class Scheduler {
public:
  /// Uses `slots` of the session, which must outlive it; nobody else may use
  /// them while a sequence runs. What they hold is kept as a cache: tokens that
  /// a slot holds from a new sequence's start are not computed again.
  Scheduler(Session &session, std::vector<int32_t> slots,
            const SlotLimits &limits = {});
  /// Uses all slots.
  explicit Scheduler(Session &session, const SlotLimits &limits = {});

  /// Queues a sequence; it starts, in the order of the calls, when a slot and
  /// memory are free. One whose prompt begins as one that is being computed
  /// waits for that, and lets others go before.
  void add(std::shared_ptr<Sequence> sequence);

  /// One forward pass: a token of every running sequence, and pieces of prompts
  /// beside them, bounded while others wait for their next token. A sequence
  /// whose logits or callbacks throw ends by that error, alone. Returns whether
  /// there is more to do.
  bool step();
  /// Whether a step would do anything: not when all that could advance are
  /// paused.
  bool canAdvance() const;

  size_t running() const { return active.size(); }
  size_t waiting() const { return queue.size(); }
  /// Positions of the KV cache that are memory, or reserved for who runs.
  SlotCache::Use positions() const { return cache.positions(); }
  /// Of all steps so far.
  struct Totals {
    uint64_t steps = 0;
    uint64_t promptTokens = 0; ///< computed
    uint64_t cachedTokens = 0; ///< of prompts, that were there already
    uint64_t generatedTokens = 0;
  };
  const Totals &totals() const { return sums; }

private:
  struct Active {
    std::shared_ptr<Sequence> sequence;
    int32_t slot;
    int waited = 0; ///< steps with one token or none
  };
  /// The next tokens of an active sequence, and which logits are wanted.
  struct Share {
    size_t index; ///< in `active`
    Session::Piece piece;
    size_t rows;
  };

  void endInterrupted();
  void admit();
  bool waitsForStart(const Sequence &next) const;
  size_t pendingOf(const Active &one) const;
  std::vector<size_t> shareBatch() const;
  size_t promptRoom(size_t talking) const;
  std::vector<Share> sharesOf(std::span<const size_t> tokens) const;
  void scoreAndDraw(std::span<const Share> shares);
  void measure(std::span<const Share> shares, double seconds);
  void queueUp(std::span<const size_t> tokens);
  void retireFinished();

  Session &session;
  SlotCache cache;
  std::deque<std::shared_ptr<Sequence>> queue;
  std::vector<Active> active; ///< those that had nothing last time first
  std::vector<float> logits;
  Totals sums;
  double talkSeconds = 0;   ///< of a step without prompts; 0: not known
  double promptSeconds = 0; ///< that a prompt's token adds to one
};

} // namespace fairy2
