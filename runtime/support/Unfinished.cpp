// SPDX-License-Identifier: Apache-2.0
//
// A list that a signal's handler can walk at any time: entries are never freed
// but used again, and a handler calls system calls alone.
#include "runtime/support/Unfinished.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fairy2 {

/// Owned by whoever exchanges its value for nothing.
struct UnfinishedEntry {
  std::atomic<char *> path = nullptr;
  std::atomic<pid_t> child = 0;
  std::atomic<bool> isTaken = true;
  UnfinishedEntry *next = nullptr;
};

namespace {

static_assert(std::atomic<char *>::is_always_lock_free &&
              std::atomic<pid_t>::is_always_lock_free &&
              std::atomic<bool>::is_always_lock_free);

constexpr int kEndingSignals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGPIPE,
                                  SIGTERM, SIGXCPU, SIGXFSZ};

std::atomic<UnfinishedEntry *> entries = nullptr;
std::atomic<pid_t> owner = 0; ///< a forked child removes nothing
std::atomic<int> delays = 0, waiting = 0;
std::atomic<void (*)()> alsoCalled = nullptr;

UnfinishedEntry *takeEntry() {
  for (UnfinishedEntry *entry = entries; entry; entry = entry->next)
    if (!entry->isTaken.exchange(true))
      return entry;
  auto *entry = new UnfinishedEntry;
  entry->next = entries;
  while (!entries.compare_exchange_weak(entry->next, entry)) {
  }
  return entry;
}

/// What getdents64() fills in; glibc's reader of folders allocates.
struct DirectoryEntry {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

void removeFilesIn(int folder) {
  alignas(DirectoryEntry) char bytes[4096];
  while (true) {
    const long count =
        syscall(SYS_getdents64, folder, bytes, long(sizeof bytes));
    if (count <= 0)
      return;
    for (long at = 0; at < count;) {
      const auto *file = reinterpret_cast<const DirectoryEntry *>(bytes + at);
      unlinkat(folder, file->name, 0);
      at += file->length;
    }
  }
}

/// A file, or a folder and its files.
void removeNow(const char *path) {
  if (unlink(path) == 0 || errno == ENOENT)
    return;
  const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0)
    return;
  // Removing may hide some from a walk, and another thread may still write.
  for (int attempt = 0; attempt < 8 && rmdir(path) != 0; ++attempt) {
    lseek(folder, 0, SEEK_SET);
    removeFilesIn(folder);
  }
  close(folder);
}

void cleanUp() {
  if (getpid() != owner)
    return;
  if (void (*function)() = alsoCalled)
    function();
  for (UnfinishedEntry *entry = entries; entry; entry = entry->next)
    if (const pid_t child = entry->child.exchange(0)) {
      kill(child, SIGKILL);
      while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
  for (UnfinishedEntry *entry = entries; entry; entry = entry->next)
    if (const char *path = entry->path.exchange(nullptr))
      removeNow(path);
}

void endBy(int signal) {
  cleanUp();
  struct sigaction plain = {};
  plain.sa_handler = SIG_DFL;
  sigaction(signal, &plain, nullptr);
  raise(signal);
}

void onSignal(int signal) {
  const int error = errno;
  if (delays > 0)
    waiting = signal;
  else
    endBy(signal);
  errno = error;
}

} // namespace

void cleanUpOnSignals() {
  owner = getpid();
  for (const int signal : kEndingSignals) {
    struct sigaction action = {};
    sigaction(signal, nullptr, &action);
    if (action.sa_handler != SIG_DFL)
      continue;
    action = {};
    action.sa_handler = onSignal;
    action.sa_flags = SA_RESTART; // for a signal that waits
    sigaction(signal, &action, nullptr);
  }
}

void callOnSignal(void (*function)()) { alsoCalled = function; }

Unfinished::Unfinished(std::filesystem::path path)
    : name(std::move(path)), entry(takeEntry()) {
  entry->path = strdup(std::filesystem::absolute(name).c_str());
}

Unfinished::Unfinished(Unfinished &&other) noexcept
    : name(std::move(other.name)), entry(other.entry) {
  other.name.clear();
  other.entry = nullptr;
}

Unfinished &Unfinished::operator=(Unfinished &&other) noexcept {
  std::swap(name, other.name);
  std::swap(entry, other.entry);
  return *this;
}

Unfinished::~Unfinished() {
  if (!entry)
    return;
  std::error_code kept; // what cannot be removed stays
  std::filesystem::remove_all(name, kept);
  keep();
}

void Unfinished::keep() {
  if (!entry)
    return;
  std::free(entry->path.exchange(nullptr));
  entry->isTaken = false;
  entry = nullptr;
  name.clear();
}

UnfinishedChild::UnfinishedChild(pid_t child) : entry(takeEntry()) {
  entry->child = child;
}

UnfinishedChild::~UnfinishedChild() {
  entry->child = 0;
  entry->isTaken = false;
}

SignalDelay::SignalDelay() { ++delays; }

SignalDelay::~SignalDelay() {
  if (--delays == 0)
    if (const int signal = waiting.exchange(0))
      endBy(signal);
}

} // namespace fairy2
