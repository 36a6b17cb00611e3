// SPDX-License-Identifier: Apache-2.0
//
// Each rank counts up a number in the store; whose number stands still is dead.
#include "trainer/distributed/Heartbeat.h"

#include <cstdio>
#include <cstdlib>

namespace fairy2::trainer {
namespace {

constexpr std::chrono::seconds kBeat{1};
/// Beats of our own, so that a machine that was asleep blames nobody.
constexpr int kPatience = 20;
/// What findDead() waits: a living rank beats in that time.
constexpr int kLook = 5;

const char *const kStoreGone =
    "rank 0, where the ranks meet, has died or cannot be reached";

std::string describe(const std::vector<size_t> &dead) {
  std::string text;
  for (const size_t rank : dead)
    text += (text.empty() ? "rank " : ", rank ") + std::to_string(rank);
  return text + (dead.size() == 1 ? " has died" : " have died");
}

} // namespace

Heartbeat::Heartbeat(c10::intrusive_ptr<c10d::Store> meeting, int rank,
                     int size)
    : store(std::move(meeting)), rank(rank) {
  for (int r = 0; r < size; ++r)
    keys.push_back("heartbeat/" + std::to_string(r));
  store->add(keys[size_t(rank)], 1);
  store->wait(keys);
  thread = std::thread([this] { beat(); });
}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  thread.join();
}

std::vector<std::vector<uint8_t>> Heartbeat::counts() const {
  return store->multiGet(keys);
}

void Heartbeat::beat() {
  std::vector<std::vector<uint8_t>> last(keys.size());
  std::vector<int> missed(keys.size(), 0);
  std::unique_lock lock(mutex);
  while (!wake.wait_for(lock, kBeat, [this] { return stopping; })) {
    std::vector<size_t> dead;
    try {
      store->add(keys[size_t(rank)], 1);
      const auto now = counts();
      for (size_t r = 0; r < keys.size(); ++r) {
        missed[r] = now[r] == last[r] ? missed[r] + 1 : 0;
        if (missed[r] >= kPatience)
          dead.push_back(r);
      }
      last = now;
    } catch (const std::exception &) {
      // The operation that the main thread waits for fails too, and says so.
      return;
    }
    if (!dead.empty()) {
      std::fprintf(stderr, "\nfairy2-train: error: rank %d: %s\n", rank,
                   describe(dead).c_str());
      std::_Exit(1);
    }
  }
}

std::string Heartbeat::findDead() const {
  try {
    const auto before = counts();
    std::this_thread::sleep_for(kLook * kBeat);
    const auto after = counts();
    std::vector<size_t> dead;
    for (size_t r = 0; r < keys.size(); ++r)
      if (before[r] == after[r])
        dead.push_back(r);
    return dead.empty() ? "all ranks are alive" : describe(dead);
  } catch (const std::exception &) {
    return kStoreGone;
  }
}

} // namespace fairy2::trainer
