// SPDX-License-Identifier: Apache-2.0
//
// A linear search over idle slots: they are some hundred at most.
#include "runtime/SlotCache.h"

#include <algorithm>
#include <utility>

namespace fairy2 {

SlotCache::SlotCache(Session &session, std::span<const int32_t> slots,
                     CacheUse use)
    : session(session), use(use), entries(size_t(session.slots())),
      idle(slots.begin(), slots.end()) {}

size_t SlotCache::usable(int32_t slot, const Sequence &sequence) const {
  const Entry &entry = entries[size_t(slot)];
  if (use == CacheUse::Off || sequence.wantsPromptLogits() ||
      (use == CacheUse::PerOwner && entry.owner != sequence.request().owner))
    return 0;
  const auto held = session.tokens(slot);
  const auto wanted = sequence.tokens();
  const auto common =
      size_t(std::ranges::mismatch(held, wanted).in1 - held.begin());
  size_t most = std::min(common, wanted.size() - 1);
  if (!sequence.wantsPromptScores())
    return most;
  // The logits of the token before the first to compute are gone: that one
  // needs its score as well.
  const size_t best = std::min(size_t(sequence.request().logprobs.value_or(0)),
                               size_t(session.vocabSize()));
  most = std::min({most, entry.scores.size(), std::max<size_t>(common, 1) - 1});
  size_t known = 0;
  while (known < most && entry.scores[known].best.size() >= best)
    ++known;
  return known;
}

SlotCache::Place SlotCache::take(const Sequence &sequence) {
  const auto longest = std::ranges::max_element(
      idle, {}, [&](int32_t slot) { return usable(slot, sequence); });
  const int32_t slot = *longest;
  idle.erase(longest);
  const size_t cached = usable(slot, sequence);
  session.reset(slot, int32_t(cached));
  Entry &entry = entries[size_t(slot)];
  entry.owner = sequence.request().owner;
  // Token `cached` may be another one now, unless its score is what we came
  // for.
  const size_t known =
      sequence.wantsPromptScores() ? cached : std::max<size_t>(cached, 1) - 1;
  entry.scores.resize(std::min(entry.scores.size(), known));
  return {slot, cached};
}

void SlotCache::giveBack(int32_t slot) { idle.push_back(slot); }

void SlotCache::addScore(int32_t slot, TokenScore score) {
  if (use != CacheUse::Off)
    entries[size_t(slot)].scores.push_back(std::move(score));
}

} // namespace fairy2
