// SPDX-License-Identifier: Apache-2.0
//
// What must not outlive a program that is stopped in the middle: temporary
// files and folders, and the programs it runs.
#pragma once

#include <filesystem>

#include <sys/types.h>

namespace fairy2 {

/// Lets the signals that end this process by default (Ctrl-C, SIGTERM, SIGHUP,
/// ..) first remove what is Unfinished. Those that are ignored or have a
/// handler stay as they are. Every main calls it; a handler may.
void cleanUpOnSignals();

/// Has such a signal call this too, which must be safe in a handler, or no
/// longer with null.
void callOnSignal(void (*function)());

/// A temporary file, or folder with the files in it, that is removed when this
/// object goes, or a signal ends the process (see above).
class Unfinished {
public:
  Unfinished() = default;
  /// Made in one SignalDelay with the file.
  explicit Unfinished(std::filesystem::path path);
  Unfinished(Unfinished &&other) noexcept;
  Unfinished &operator=(Unfinished &&other) noexcept;
  ~Unfinished();

  /// Empty for nothing.
  const std::filesystem::path &path() const { return name; }
  /// It is finished, or has another name.
  void keep();

private:
  std::filesystem::path name;
  struct UnfinishedEntry *entry = nullptr;
};

/// A child process that a signal which ends this one ends too.
class UnfinishedChild {
public:
  /// Made in one SignalDelay with the process.
  explicit UnfinishedChild(pid_t child);
  UnfinishedChild(const UnfinishedChild &) = delete;
  UnfinishedChild &operator=(const UnfinishedChild &) = delete;
  ~UnfinishedChild();

private:
  struct UnfinishedEntry *entry;
};

/// While one of these exists, signals that would end the process wait: for
/// steps that belong together, such as a file and who removes it.
class SignalDelay {
public:
  SignalDelay();
  ~SignalDelay();
  SignalDelay(const SignalDelay &) = delete;
  SignalDelay &operator=(const SignalDelay &) = delete;
};

} // namespace fairy2
