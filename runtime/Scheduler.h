// SPDX-License-Identifier: Apache-2.0
//
// Advances many sequences over the slots of one session, together in shared
// batches. What a sequence generates does not depend on the others: it equals,
// bit for bit, what it generates alone. Used by one thread at a time.
#pragma once

#include "runtime/Sequence.h"
#include "runtime/Session.h"

#include <deque>
#include <memory>
#include <vector>

namespace fairy2 {

class Scheduler {
public:
  /// Uses `slots` of the session, which must outlive it; nobody else may use
  /// them while a sequence runs. What they hold is kept as a cache: tokens that
  /// a slot holds from a new sequence's start are not computed again.
  Scheduler(Session &session, std::vector<int32_t> slots);
  /// Uses all slots.
  explicit Scheduler(Session &session);

  /// Queues a sequence; it starts, in the order of the calls, when a slot is
  /// free.
  void add(std::shared_ptr<Sequence> sequence);

  /// One forward pass: a token of every running sequence, and as much of the
  /// prompts as fits beside them. A sequence whose logits or callback throw
  /// ends by that error, alone. Returns whether there is more to do.
  bool step();

  size_t running() const { return active.size(); }
  size_t waiting() const { return queue.size(); }

private:
  struct Active {
    std::shared_ptr<Sequence> sequence;
    int32_t slot;
  };

  void endInterrupted();
  void admit();
  /// Takes the idle slot that holds the longest start of the tokens, and of
  /// several the one that has been idle longest.
  int32_t takeSlot(std::span<const int32_t> tokens);
  /// How many tokens of each active sequence the next pass takes.
  std::vector<size_t> shareBatch() const;
  void drawFrom(std::span<const Session::Piece> pieces);
  void retireFinished();

  Session &session;
  std::deque<std::shared_ptr<Sequence>> queue;
  std::vector<Active> active;
  std::vector<int32_t> idle; ///< the longest idle first
  std::vector<float> logits;
};

} // namespace fairy2
