// SPDX-License-Identifier: Apache-2.0
//
// A thread that counts up and reads the others' counts, and one that watches
// it: no call to a store whose process is frozen ever returns.
#include "trainer/distributed/Heartbeat.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

namespace fairy2::trainer {
namespace {

constexpr std::chrono::seconds kBeat{1};
/// Beats of our own, so that a machine that was asleep blames nobody. With the
/// launcher's grace it makes less than the 20 seconds that README.md promises.
constexpr int kPatience = 10;
/// What findDead() waits: a living rank beats in that time.
constexpr int kLook = 5;

const char *const kStoreGone =
    "rank 0, where the ranks meet, has died or cannot be reached";

/// "rank 1, rank 2 have died", say.
std::string describe(const std::vector<size_t> &ranks,
                     const std::string &fate) {
  std::string text;
  for (const size_t rank : ranks)
    text += (text.empty() ? "rank " : ", rank ") + std::to_string(rank);
  return text + (ranks.size() == 1 ? " has " : " have ") + fate;
}

[[noreturn]] void die(int rank, const std::string &cause) {
  std::fprintf(stderr, "\nfairy2-train: error: rank %d: %s\n", rank,
               cause.c_str());
  std::_Exit(1);
}

} // namespace

Heartbeat::Heartbeat(c10::intrusive_ptr<c10d::Store> meeting, int rank,
                     int size)
    : store(std::move(meeting)), rank(rank), missed(size_t(size), 0) {
  for (int r = 0; r < size; ++r)
    keys.push_back("heartbeat/" + std::to_string(r));
  store->add(keys[size_t(rank)], 1);
  store->wait(keys);
  if (const char *descriptor = std::getenv(kLauncherPulse))
    launcher = std::atoi(descriptor);
  beating = std::thread([this] { beat(); });
  watching = std::thread([this] { watch(); });
}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  wake.notify_all();
  beating.join();
  watching.join();
}

void Heartbeat::beat() {
  std::vector<std::vector<uint8_t>> last(keys.size());
  std::unique_lock lock(mutex);
  while (!wake.wait_for(lock, kBeat, [this] { return stopping; })) {
    lock.unlock();
    std::vector<std::vector<uint8_t>> now;
    try {
      store->add(keys[size_t(rank)], 1);
      now = store->multiGet(keys);
    } catch (const std::exception &) {
      lock.lock();
      storeGone = true;
      return;
    }
    lock.lock();
    waiting = 0;
    for (size_t r = 0; r < keys.size(); ++r)
      missed[r] = now[r] == last[r] ? missed[r] + 1 : 0;
    last = std::move(now);
  }
}

std::vector<size_t> Heartbeat::silentFor(int beats) const {
  std::vector<size_t> ranks;
  for (size_t r = 0; r < missed.size(); ++r)
    if (missed[r] >= beats)
      ranks.push_back(r);
  return ranks;
}

void Heartbeat::watch() {
  std::unique_lock lock(mutex);
  while (!wake.wait_for(lock, kBeat, [this] { return stopping; })) {
    // Where the store is gone, the operation that the main thread waits for
    // mostly fails as well and says more. But it may wait for another rank.
    if (++waiting >= kPatience)
      die(rank, kStoreGone);
    if (const auto dead = silentFor(kPatience); !dead.empty())
      die(rank, describe(dead, "died or stood still for " +
                                   std::to_string(kPatience) + " seconds"));
    watchLauncher();
  }
}

void Heartbeat::watchLauncher() {
  if (launcher < 0)
    return;
  char pulses[64];
  const ssize_t got = ::read(launcher, pulses, sizeof pulses);
  // One that has died sends a signal, see Launcher.cpp.
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
    launcher = -1;
  launcherWaiting = got > 0 ? 0 : launcherWaiting + 1;
  if (launcher < 0 || launcherWaiting < kPatience)
    return;
  launcher = -1;
  if (rank == 0)
    std::fprintf(stderr,
                 "\nfairy2-train: the process that started the ranks, %d, has "
                 "stood still for %d seconds: stopping after this step\n",
                 int(::getppid()), kPatience);
  ::kill(::getpid(), SIGTERM);
}

std::string Heartbeat::findDead() {
  std::unique_lock lock(mutex);
  for (int second = 0; second < kLook && !storeGone; ++second)
    wake.wait_for(lock, kBeat, [this] { return stopping || storeGone; });
  if (storeGone || waiting >= kLook)
    return kStoreGone;
  const auto dead = silentFor(kLook - 1);
  return dead.empty() ? "" : describe(dead, "died");
}

} // namespace fairy2::trainer
