// SPDX-License-Identifier: Apache-2.0
//
// Cuts what the caller appends into batches that generated code accepts, and
// keeps track of positions.
#include "runtime/Session.h"

#include "runtime/Cores.h"
#include "runtime/Status.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

namespace fairy2 {
namespace {

constexpr int32_t kDefaultContext = 4096;
constexpr int64_t kPositionBlock = 16;
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
  const auto cores = std::max<int32_t>(1, int32_t(allowedCores().size()));
  if (asked < 0 || asked > cores)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "threads: expected 0 to " + std::to_string(cores) +
                          ", the cores this process may use, found " +
                          std::to_string(asked));
  return asked == 0 ? usableCores() : asked;
}

uint64_t cacheBytes(const Manifest &manifest, int64_t slots,
                    int64_t positions) {
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(uint64_t(slots * positions),
                             uint64_t(manifest.cacheBytesPerPosition), &bytes))
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "context: expected a KV cache that fits into memory, "
                      "found " +
                          std::to_string(slots) + " slots of " +
                          std::to_string(positions) + " positions");
  return bytes;
}

int64_t roundToBlock(int64_t positions) {
  return (positions + kPositionBlock - 1) / kPositionBlock * kPositionBlock;
}

} // namespace

LazyMemory::LazyMemory(uint64_t size, const std::string &purpose)
    : bytes(std::max<uint64_t>(size, 1)) {
  void *result = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (result == MAP_FAILED)
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      purpose + ": cannot get " + std::to_string(bytes) +
                          " bytes: " + std::strerror(errno));
  address = static_cast<uint8_t *>(result);
}

LazyMemory::~LazyMemory() { munmap(address, bytes); }

Session::Session(std::shared_ptr<const Model> model,
                 const SessionOptions &options)
    : owner(std::move(model)),
      positions(chooseContext(owner->manifest(), options.context)),
      storedPositions(roundToBlock(positions)),
      lengths(size_t(inRange("slots", options.slots, kMaxSlots)), 0),
      cache(cacheBytes(owner->manifest(), options.slots, storedPositions),
            "KV cache"),
      workspace(uint64_t(owner->manifest().workspaceBytes), "workspace"),
      pool(chooseThreads(options.threads)) {}

int32_t Session::length(int32_t slot) const {
  requireSlot(slot);
  return lengths[size_t(slot)];
}

void Session::reset(int32_t slot, int32_t length) {
  requireSlot(slot);
  if (length < 0 || length > lengths[size_t(slot)])
    throw StatusError(FAIRY2_BAD_ARGUMENT,
                      "length: expected 0 to " +
                          std::to_string(lengths[size_t(slot)]) +
                          ", the filled positions of the slot, found " +
                          std::to_string(length));
  lengths[size_t(slot)] = length;
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
  const auto room = size_t(positions - lengths[size_t(slot)]);
  if (tokens > room)
    throw StatusError(FAIRY2_OUT_OF_CONTEXT,
                      "tokens: expected at most " + std::to_string(room) +
                          ", the free positions of slot " +
                          std::to_string(slot) + " (context " +
                          std::to_string(positions) + "), found " +
                          std::to_string(tokens));
}

void Session::eval(int32_t slot, std::span<const int32_t> tokens, Logits wanted,
                   float *logits) {
  requireSlot(slot);
  checkTokens(tokens);
  requireRoom(slot, tokens.size());
  const auto batch = size_t(owner->manifest().batch);
  while (!tokens.empty()) {
    const auto part = tokens.first(std::min(batch, tokens.size()));
    tokens = tokens.subspan(part.size());
    int32_t &filled = lengths[size_t(slot)];
    batchSlots.assign(part.size(), slot);
    batchPositions.resize(part.size());
    std::iota(batchPositions.begin(), batchPositions.end(), filled);
    rows.clear();
    if (wanted == Logits::All) {
      rows.resize(part.size());
      std::iota(rows.begin(), rows.end(), 0);
    } else if (wanted == Logits::Last && tokens.empty()) {
      rows.push_back(int32_t(part.size()) - 1);
    }
    forward(part, logits);
    filled += int32_t(part.size());
    if (wanted == Logits::All)
      logits += part.size() * size_t(vocabSize());
  }
}

void Session::evalBatch(std::span<const int32_t> slotList,
                        std::span<const int32_t> tokens, float *logits) {
  checkTokens(tokens);
  if (tokens.size() != slotList.size())
    throw StatusError(FAIRY2_BAD_ARGUMENT, "tokens: expected one for each of " +
                                               std::to_string(slotList.size()) +
                                               " slots, found " +
                                               std::to_string(tokens.size()));
  std::vector<bool> seen(lengths.size());
  for (const int32_t slot : slotList) {
    requireSlot(slot);
    requireRoom(slot, 1);
    if (seen[size_t(slot)])
      throw StatusError(FAIRY2_BAD_ARGUMENT,
                        "slots: expected different slots, found " +
                            std::to_string(slot) + " twice");
    seen[size_t(slot)] = true;
  }
  const auto batch = size_t(owner->manifest().batch);
  for (size_t begin = 0; begin < tokens.size(); begin += batch) {
    const size_t size = std::min(batch, tokens.size() - begin);
    const auto part = slotList.subspan(begin, size);
    batchSlots.assign(part.begin(), part.end());
    batchPositions.clear();
    for (const int32_t slot : part)
      batchPositions.push_back(lengths[size_t(slot)]++);
    rows.resize(logits ? size : 0);
    std::iota(rows.begin(), rows.end(), 0);
    forward(tokens.subspan(begin, size),
            logits ? logits + begin * size_t(vocabSize()) : nullptr);
  }
}

void Session::observeSteps(std::function<void()> newObserver) {
  observer = std::move(newObserver);
}

void Session::forward(std::span<const int32_t> tokens, float *logits) {
  const Fairy2Forward function = owner->forward();
  struct Observed {
    ThreadPool &pool;
    const std::function<void()> &observer;
    std::thread::id caller = std::this_thread::get_id();
  } observed{pool, observer};
  const Fairy2Barrier observedBarrier = [](void *argument) {
    const Observed &my = *static_cast<Observed *>(argument);
    my.pool.barrier();
    if (std::this_thread::get_id() == my.caller)
      my.observer();
  };
  const Fairy2Barrier barrier =
      observer ? observedBarrier : &ThreadPool::barrierOf;
  void *argument = observer ? static_cast<void *>(&observed) : &pool;
  pool.run([&](int thread, int threads) {
    function(owner->weights(), cache.data(), workspace.data(), tokens.data(),
             batchSlots.data(), batchPositions.data(), int64_t(tokens.size()),
             rows.data(), int64_t(rows.size()), logits, storedPositions, thread,
             threads, barrier, argument);
  });
}

} // namespace fairy2
