// SPDX-License-Identifier: Apache-2.0
//
// Which slot a sequence gets, and when. What a finished one leaves in its slot
// is kept until the slot or its memory is needed: a sequence that begins alike
// need not compute that again, nor the scores of its prompt.
#pragma once

#include "runtime/Sequence.h"
#include "runtime/Session.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace fairy2 {

enum class CacheUse {
  PerOwner, ///< what an owner's sequences left serves that owner alone
  Shared,   ///< it serves everybody
  Off       ///< nothing is used again
};

struct SlotLimits {
  CacheUse use = CacheUse::PerOwner;
  size_t running = SIZE_MAX; ///< slots in use at once; the others keep prefixes
  /// Positions of the KV cache that may be memory at once, of all slots; at
  /// least a whole slot's.
  int64_t positions = INT64_MAX;
};

class SlotCache {
public:
  /// Of `slots`, all idle; the session must outlive it. Throws StatusError when
  /// no sequence could ever run within the limits.
  SlotCache(Session &session, std::span<const int32_t> slots,
            const SlotLimits &limits);

  struct Place {
    int32_t slot;
    size_t cached; ///< tokens from the start that the slot holds
  };
  /// Whether take() would find a slot, and memory for all that the sequence may
  /// generate beside what those that run may.
  bool hasRoomFor(const Sequence &sequence) const;
  /// Takes an idle slot that holds the longest start of what the sequence
  /// needs. It is copied from another slot where that one is busy or holds
  /// mostly something else; then, and of several, the longest idle is taken.
  /// The last token of a prompt is always left to compute, for its logits.
  /// Memory of idle slots goes as far as it is needed. Nothing without
  /// room.
  std::optional<Place> take(const Sequence &sequence);
  /// Whether it pays to wait: a sequence that computes its prompt will leave
  /// the start that `next` needs, at least a batch more than is there now.
  bool isWorthWaiting(const Sequence &running, int32_t slot,
                      const Sequence &next) const;
  /// The slot is idle again and keeps what it holds.
  void giveBack(int32_t slot);

  /// Of the tokens of the slot from the second on, as far as they are known.
  std::span<const TokenScore> scores(int32_t slot) const {
    return entries[size_t(slot)].scores;
  }
  /// Of the next token.
  void addScore(int32_t slot, TokenScore score);

  /// Positions that are memory now, and those of busy slots that may become it.
  struct Use {
    int64_t held = 0, reserved = 0;
  };
  Use positions() const;

private:
  struct Entry {
    std::string owner;
    std::vector<TokenScore> scores;
    int64_t touched = 0;  ///< positions that are memory
    int64_t reserved = 0; ///< that may become it, while it is busy
    bool isOurs = false, isBusy = false;
  };
  bool mayUse(const std::string &owner, const Sequence &sequence) const;
  /// How many tokens of the slot the sequence can use.
  size_t usable(int32_t slot, const Sequence &sequence) const;
  /// The slot of all of ours, busy ones too, that it can use most of.
  Place longest(const Sequence &sequence) const;
  int64_t positionsFor(const Sequence &sequence) const;
  int64_t reservedPositions() const;
  void makeRoom(int32_t spared);
  int64_t forget(int32_t slot);

  Session &session;
  const SlotLimits limits;
  std::vector<Entry> entries; ///< of all slots of the session
  std::vector<int32_t> idle;  ///< the longest idle first
};

} // namespace fairy2
