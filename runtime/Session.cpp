// SPDX-License-Identifier: Apache-2.0
//
// Cuts what the caller appends into batches that the executor accepts, and
// keeps track of what every slot holds.
#include "runtime/Session.h"

#include "runtime/Cores.h"
#include "runtime/CpuExecutor.h"
#include "runtime/Status.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>

namespace fairy2 {
namespace {

constexpr int32_t kDefaultContext = 4096;
constexpr int32_t kMaxSlots = 1 << 16;

int32_t inRange(const char *option, int32_t value, int32_t max) {
  if (value < 1 || value > max)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      std::string(option) + ": expected 1 to " +
                          std::to_string(max) + ", found " +
                          std::to_string(value));
  return value;
}

int32_t chooseContext(const Manifest &manifest, int32_t asked) {
  if (asked == 0)
    return std::min(manifest.maxPositions, kDefaultContext);
  return inRange("context", asked, manifest.maxPositions);
}

int32_t chooseThreads(int32_t asked) {
  checkThreads(asked);
  return asked == 0 ? usableCores() : asked;
}

} // namespace

void checkThreads(int32_t asked) {
  const auto cores = std::max<int32_t>(1, int32_t(allowedCores().size()));
  if (asked < 0 || asked > cores)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "threads: expected 0 to " + std::to_string(cores) +
                          ", the cores this process may use, found " +
                          std::to_string(asked));
}

Session::Session(std::shared_ptr<const Model> model,
                 const SessionOptions &options)
    : owner(std::move(model)),
      positions(chooseContext(owner->manifest(), options.context)),
      held(size_t(inRange("slots", options.slots, kMaxSlots))),
      pool(chooseThreads(options.threads)),
      executor(std::make_unique<CpuExecutor>(
          owner, CacheShape{options.slots, positions}, options.hugePages, pool,
          options.threads == 0)),
      process(getpid()) {}

std::span<const int32_t> Session::tokens(int32_t slot) const {
  requireSlot(slot);
  return held[size_t(slot)];
}

void Session::reset(int32_t slot, int32_t newLength) {
  if (newLength < 0 || newLength > length(slot))
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "length: expected 0 to " + std::to_string(length(slot)) +
                          ", the filled positions of the slot, found " +
                          std::to_string(newLength));
  held[size_t(slot)].resize(size_t(newLength));
}

void Session::copy(int32_t from, int32_t to, int32_t newLength) {
  requireSlot(to);
  if (newLength < 0 || newLength > length(from))
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "length: expected 0 to " + std::to_string(length(from)) +
                          ", the filled positions of the slot, found " +
                          std::to_string(newLength));
  if (from == to)
    return reset(to, newLength);
  executor->copy(from, to, newLength);
  const auto &source = held[size_t(from)];
  held[size_t(to)].assign(source.begin(), source.begin() + newLength);
}

void Session::release(int32_t slot) {
  reset(slot);
  executor->release(slot);
}

void Session::requireSlot(int32_t slot) const {
  if (slot < 0 || slot >= slots())
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "slot: expected 0 to " + std::to_string(slots() - 1) +
                          ", found " + std::to_string(slot));
}

void Session::checkTokens(std::span<const int32_t> tokens) const {
  if (tokens.empty())
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "tokens: expected at least one, found none");
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || tokens[i] >= vocabSize())
      throw StatusError(FAIRY2_BAD_ARGUMENT,
                        "tokens[" + std::to_string(i) + "]: expected 0 to " +
                            std::to_string(vocabSize() - 1) + ", found " +
                            std::to_string(tokens[i]));
}

void Session::requireRoom(int32_t slot, size_t tokens) const {
  const auto room = size_t(positions - length(slot));
  if (tokens > room)
    throw StatusError(FAIRY2_OUT_OF_CONTEXT,
                      "tokens: expected at most " + std::to_string(room) +
                          ", the free positions of slot " +
                          std::to_string(slot) + " (context " +
                          std::to_string(positions) + "), found " +
                          std::to_string(tokens));
}

void Session::requireDifferentSlots(std::span<const Piece> pieces) const {
  if (pieces.size() < 2)
    return;
  std::vector<int32_t> sorted;
  for (const Piece &piece : pieces)
    sorted.push_back(piece.slot);
  std::ranges::sort(sorted);
  const auto twice = std::ranges::adjacent_find(sorted);
  if (twice != sorted.end())
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "slots: expected different slots, found " +
                          std::to_string(*twice) + " twice");
}

void Session::step(std::span<const Piece> pieces, float *logits) {
  // A forked child has this memory, but not the threads to wait for.
  if (getpid() != process)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "session: expected to be used by the process that made "
                      "it, found a forked child: make one there");
  for (const Piece &piece : pieces) {
    requireSlot(piece.slot);
    checkTokens(piece.tokens);
    requireRoom(piece.slot, piece.tokens.size());
  }
  requireDifferentSlots(pieces);
  const auto batch = size_t(owner->manifest().batch);
  for (const Piece &piece : pieces) {
    int32_t position = length(piece.slot);
    for (size_t i = 0; i < piece.tokens.size(); ++i) {
      if (piece.wanted == Logits::All ||
          (piece.wanted == Logits::Last && i + 1 == piece.tokens.size()))
        rows.push_back(int32_t(batchTokens.size()));
      batchTokens.push_back(piece.tokens[i]);
      batchSlots.push_back(piece.slot);
      batchPositions.push_back(position++);
      if (batchTokens.size() == batch)
        logits = flush(logits);
    }
  }
  if (!batchTokens.empty())
    flush(logits);
}

float *Session::flush(float *logits) {
  // Emptied also when the executor throws.
  const auto tokens = std::exchange(batchTokens, {});
  const auto slots = std::exchange(batchSlots, {});
  const auto places = std::exchange(batchPositions, {});
  const auto wanted = std::exchange(rows, {});
  executor->forward({tokens, slots, places, wanted}, logits);
  for (size_t i = 0; i < tokens.size(); ++i)
    held[size_t(slots[i])].push_back(tokens[i]);
  return logits ? logits + wanted.size() * size_t(vocabSize()) : nullptr;
}

void Session::eval(int32_t slot, std::span<const int32_t> tokens, Logits wanted,
                   float *logits) {
  const Piece piece{slot, tokens, wanted};
  step({&piece, 1}, logits);
}

void Session::evalBatch(std::span<const int32_t> slots,
                        std::span<const int32_t> tokens, float *logits) {
  checkTokens(tokens);
  if (tokens.size() != slots.size())
    throw StatusError(FAIRY2_BAD_ARGUMENT, "tokens: expected one for each of " +
                                               std::to_string(slots.size()) +
                                               " slots, found " +
                                               std::to_string(tokens.size()));
  std::vector<Piece> pieces;
  for (size_t i = 0; i < tokens.size(); ++i)
    pieces.push_back(
        {slots[i], tokens.subspan(i, 1), logits ? Logits::Last : Logits::None});
  step(pieces, logits);
}

void Session::observeSteps(std::function<void()> observer) {
  executor->observeSteps(std::move(observer));
}

} // namespace fairy2
