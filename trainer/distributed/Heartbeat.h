// SPDX-License-Identifier: Apache-2.0
//
// Which ranks of a run are alive. A collective operation that fails says that
// somebody is gone, not who; and one that waits for a process that stands still
// does not fail at all. Nor does a call to the store: so one thread calls it,
// and another watches that thread.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace fairy2::trainer {

/// The environment variable that names a descriptor on which whoever started
/// the ranks writes a byte each second.
inline constexpr const char *kLauncherPulse = "FAIRY2_LAUNCHER_PULSE";

class Heartbeat {
public:
  /// Counts up in `store` once a second, and ends the process with a sentence
  /// on stderr when another rank, or the store, which is rank 0's, has stood
  /// still for 10 of our own seconds. When the launcher has, the process asks
  /// itself to stop, as with SIGTERM. Nobody else may call `store`.
  Heartbeat(c10::intrusive_ptr<c10d::Store> store, int rank, int size);
  ~Heartbeat();

  /// Looks for a few seconds, and says who is gone or stands still: "rank 2 has
  /// died", say; empty when all live.
  std::string findDead();

private:
  void beat();
  void watch();
  void watchLauncher();
  std::vector<size_t> silentFor(int beats) const;

  c10::intrusive_ptr<c10d::Store> store;
  const int rank;
  std::vector<std::string> keys; ///< one per rank
  std::mutex mutex;              ///< of all below
  std::condition_variable wake;
  std::vector<int> missed; ///< per rank: beats without a sign of it
  int waiting = 0;         ///< seconds since the store last answered
  bool storeGone = false;
  bool stopping = false;
  int launcher = -1;       ///< kLauncherPulse, or -1
  int launcherWaiting = 0; ///< seconds since it last wrote
  std::thread beating, watching;
};

} // namespace fairy2::trainer
