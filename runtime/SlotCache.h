// SPDX-License-Identifier: Apache-2.0
//
// Which slot a sequence gets. What a finished one leaves in its slot is kept
// until the slot is needed: a sequence that begins alike need not compute that
// again, nor the scores of its prompt.
#pragma once

#include "runtime/Sequence.h"
#include "runtime/Session.h"

#include <cstdint>
#include <span>
#include <vector>

namespace fairy2 {

enum class CacheUse {
  PerOwner, ///< what an owner's sequences left serves that owner alone
  Shared,   ///< it serves everybody
  Off       ///< nothing is used again
};

class SlotCache {
public:
  /// Of `slots`, all idle; the session must outlive it.
  SlotCache(Session &session, std::span<const int32_t> slots, CacheUse use);

  bool hasIdle() const { return !idle.empty(); }

  struct Place {
    int32_t slot;
    size_t cached; ///< tokens from the start that the slot holds
  };
  /// Takes the idle slot with the longest start of what the sequence needs, and
  /// of several the one that has been idle longest. Needs one that is idle. The
  /// last token of a prompt is always left to compute, for its logits.
  Place take(const Sequence &sequence);
  /// The slot is idle again and keeps what it holds.
  void giveBack(int32_t slot);

  /// Of the tokens of the slot from the second on, as far as they are known.
  std::span<const TokenScore> scores(int32_t slot) const {
    return entries[size_t(slot)].scores;
  }
  /// Of the next token.
  void addScore(int32_t slot, TokenScore score);

private:
  struct Entry {
    std::string owner;
    std::vector<TokenScore> scores;
  };
  /// How many tokens of the slot the sequence can use.
  size_t usable(int32_t slot, const Sequence &sequence) const;

  Session &session;
  CacheUse use;
  std::vector<Entry> entries; ///< of all slots of the session
  std::vector<int32_t> idle;  ///< the longest idle first
};

} // namespace fairy2
