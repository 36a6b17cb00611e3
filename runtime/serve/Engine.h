// SPDX-License-Identifier: Apache-2.0
//
// The scheduler and the thread that drives it. Between two steps it swaps what
// is new in, and what happened out; it knows no socket and no JSON.
#pragma once

#include "runtime/Scheduler.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace fairy2::serve {

/// The sequences of one request: choice j of prompt k is number k * n + j.
struct Job {
  uint64_t id = 0;
  std::vector<std::shared_ptr<Sequence>> sequences;
  std::string owner; ///< what it leaves in the cache is for him alone
  /// Set by every thread; the engine looks before each step.
  std::atomic<bool> isCancelled = false, isPaused = false;
};

/// What happened to one sequence in one step.
struct Event {
  uint64_t job;
  size_t choice;
  std::string text = {}; ///< that became certain
  std::vector<TokenScore> scores = {};
  /// At the sequence's end.
  std::optional<FinishReason> reason = {};
  size_t generatedTokens = 0, cachedTokens = 0;
  std::exception_ptr failure = nullptr; ///< instead of a reason
};

/// One pass for all sequences.
struct StepReport {
  std::vector<Event> events;
  double seconds = 0;
};

class Engine {
public:
  /// `sink` gets what happened in a step, on the engine's thread.
  Engine(Session &session, const SlotLimits &limits,
         std::function<void(StepReport)> sink);

  /// Options whose tokens come to the sink as events of `job`, a choice of it.
  GenerationOptions watched(GenerationOptions options, Job &job, size_t choice);

  /// May be called by every thread.
  void add(std::shared_ptr<Job> job);
  /// After a job was cancelled or goes on.
  void wake();
  void stop();

  /// Works until stop(), on the thread that made the session.
  void run();

  struct Counts {
    size_t running, waiting;
    int64_t heldPositions, reservedPositions; ///< of the KV cache
  };
  /// After the last step; of every thread.
  Counts counts() const {
    return {runningSequences, waitingSequences, heldPositions,
            reservedPositions};
  }

private:
  Event &eventOf(uint64_t job, size_t choice);
  void begin(std::vector<std::shared_ptr<Job>> jobs);
  void tellEnds();

  Scheduler scheduler;
  std::function<void(StepReport)> sink;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::shared_ptr<Job>> added;
  bool isStopping = false, isWoken = false;
  std::atomic<size_t> runningSequences = 0, waitingSequences = 0;
  std::atomic<int64_t> heldPositions = 0, reservedPositions = 0;
  // Of the engine's thread.
  struct Live {
    std::shared_ptr<Job> job;
    size_t choice;
  };
  std::vector<Live> live;
  std::vector<Event> events;
};

} // namespace fairy2::serve
