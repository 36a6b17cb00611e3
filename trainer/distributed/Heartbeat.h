// SPDX-License-Identifier: Apache-2.0
//
// Which ranks of a run are alive. A collective operation that fails says that
// somebody is gone, not who; and one that waits for a hanging process does not
// fail at all.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace fairy2::trainer {

class Heartbeat {
public:
  /// Counts up in `store` once a second, and ends the process with a sentence
  /// on stderr when another rank has stood still for 20 of our own beats.
  Heartbeat(c10::intrusive_ptr<c10d::Store> store, int rank, int size);
  ~Heartbeat();

  /// Looks for a few seconds, and says which ranks stand still: "rank 2 has
  /// died", say.
  std::string findDead() const;

private:
  void beat();
  std::vector<std::vector<uint8_t>> counts() const;

  c10::intrusive_ptr<c10d::Store> store;
  const int rank;
  std::vector<std::string> keys; ///< one per rank
  std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;
  std::thread thread;
};

} // namespace fairy2::trainer
