// SPDX-License-Identifier: Apache-2.0
//
// A linear search over slots: they are some hundred at most.
#include "runtime/SlotCache.h"

#include "runtime/Status.h"

#include <algorithm>
#include <utility>

namespace fairy2 {
namespace {

/// Memory comes in blocks of positions, and in pages of every array.
constexpr int64_t kBlock = 16;

int64_t blocksOf(int64_t positions) {
  return (positions + kBlock - 1) / kBlock * kBlock;
}

} // namespace

SlotCache::SlotCache(Session &session, std::span<const int32_t> slots,
                     const SlotLimits &limits)
    : session(session), limits(limits), entries(size_t(session.slots())),
      idle(slots.begin(), slots.end()) {
  for (const int32_t slot : slots) {
    Entry &entry = entries[size_t(slot)];
    entry.isOurs = true;
    entry.touched = blocksOf(session.length(slot));
  }
  const int64_t least = blocksOf(session.context());
  if (limits.positions < least)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "positions: expected at least " + std::to_string(least) +
                          ", those of one slot, found " +
                          std::to_string(limits.positions));
}

bool SlotCache::mayUse(const std::string &owner,
                       const Sequence &sequence) const {
  return limits.use != CacheUse::Off && !sequence.wantsPromptLogits() &&
         (limits.use == CacheUse::Shared || owner == sequence.request().owner);
}

size_t SlotCache::usable(int32_t slot, const Sequence &sequence) const {
  const Entry &entry = entries[size_t(slot)];
  if (!mayUse(entry.owner, sequence))
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

SlotCache::Place SlotCache::longest(const Sequence &sequence) const {
  Place best{idle.front(), usable(idle.front(), sequence)};
  const auto look = [&](int32_t slot) {
    if (const size_t cached = usable(slot, sequence); cached > best.cached)
      best = {slot, cached};
  };
  for (const int32_t slot : idle)
    look(slot);
  if (session.canCopy())
    for (size_t slot = 0; slot < entries.size(); ++slot)
      if (entries[slot].isBusy)
        look(int32_t(slot));
  return best;
}

bool SlotCache::isWorthWaiting(const Sequence &running, int32_t slot,
                               const Sequence &next) const {
  if (!session.canCopy() || idle.empty() ||
      !mayUse(running.request().owner, next))
    return false;
  if (next.wantsPromptScores() &&
      (!running.wantsPromptScores() ||
       running.request().logprobs < next.request().logprobs))
    return false;
  const auto batch = size_t(session.model().manifest().batch);
  const auto ours = running.tokens(), wanted = next.tokens();
  const auto common =
      size_t(std::ranges::mismatch(ours, wanted).in1 - ours.begin());
  return common > size_t(session.length(slot)) &&
         common > longest(next).cached + batch;
}

int64_t SlotCache::positionsFor(const Sequence &sequence) const {
  const int64_t context = session.context();
  const auto prompt = int64_t(sequence.tokens().size());
  // The last token drawn is never appended.
  const int64_t more = std::max<int64_t>(sequence.request().maxTokens, 1) - 1;
  return blocksOf(prompt + std::min(more, context - prompt));
}

int64_t SlotCache::reservedPositions() const {
  int64_t sum = 0;
  for (const Entry &entry : entries)
    if (entry.isBusy)
      sum += std::max(entry.reserved, entry.touched);
  return sum;
}

bool SlotCache::hasRoomFor(const Sequence &sequence) const {
  size_t busy = 0;
  for (const Entry &entry : entries)
    busy += entry.isBusy;
  return !idle.empty() && busy < limits.running &&
         positionsFor(sequence) <= limits.positions - reservedPositions();
}

/// Gives memory of idle slots back, of the longest idle first, until all that
/// is memory or reserved is within the limit. One slot is spared.
void SlotCache::makeRoom(int32_t spared) {
  int64_t room = limits.positions - reservedPositions();
  for (const int32_t slot : idle)
    room -= entries[size_t(slot)].touched;
  for (const int32_t slot : idle)
    if (room < 0 && slot != spared)
      room += forget(slot);
}

/// Returns how many positions are no longer memory.
int64_t SlotCache::forget(int32_t slot) {
  Entry &entry = entries[size_t(slot)];
  session.release(slot);
  entry.scores.clear();
  return std::exchange(entry.touched, 0);
}

std::optional<SlotCache::Place> SlotCache::take(const Sequence &sequence) {
  if (!hasRoomFor(sequence))
    return {};
  auto [source, cached] = longest(sequence);
  const bool isBusy = entries[size_t(source)].isBusy;
  // Where most of a slot is something else, that is worth keeping.
  const bool copies =
      isBusy || (cached > 0 && session.canCopy() && idle.size() > 1 &&
                 cached < size_t(session.length(source)) / 2);
  const int32_t slot = copies && idle.front() == source ? idle[1]
                       : copies                         ? idle.front()
                                                        : source;
  std::erase(idle, slot);
  Entry &entry = entries[size_t(slot)];
  entry.isBusy = true;
  entry.reserved = positionsFor(sequence);
  // What it held of a longer text may be more than there is room for.
  if (entry.touched > entry.reserved &&
      (copies || cached == 0 || reservedPositions() > limits.positions)) {
    forget(slot);
    if (!copies)
      cached = 0;
  }
  makeRoom(source);
  if (copies) {
    session.copy(source, slot, int32_t(cached));
    entry.scores = entries[size_t(source)].scores;
    entry.touched = std::max(entry.touched, blocksOf(int64_t(cached)));
    makeRoom(-1);
  } else {
    session.reset(slot, int32_t(cached));
  }
  entry.owner = sequence.request().owner;
  // Token `cached` may be another one now, unless its score is what we came
  // for.
  const size_t known =
      sequence.wantsPromptScores() ? cached : std::max<size_t>(cached, 1) - 1;
  if (entry.scores.size() > known)
    entry.scores.resize(known);
  return Place{slot, cached};
}

void SlotCache::giveBack(int32_t slot) {
  Entry &entry = entries[size_t(slot)];
  entry.isBusy = false;
  entry.touched = std::max(entry.touched, blocksOf(session.length(slot)));
  idle.push_back(slot);
}

void SlotCache::addScore(int32_t slot, TokenScore score) {
  if (limits.use != CacheUse::Off)
    entries[size_t(slot)].scores.push_back(std::move(score));
}

SlotCache::Use SlotCache::positions() const {
  Use use;
  for (size_t slot = 0; slot < entries.size(); ++slot) {
    const Entry &entry = entries[slot];
    if (!entry.isOurs)
      continue;
    use.held +=
        std::max(entry.touched,
                 entry.isBusy ? blocksOf(session.length(int32_t(slot))) : 0);
    use.reserved += entry.isBusy ? std::max(entry.reserved, entry.touched) : 0;
  }
  return use;
}

} // namespace fairy2
