// SPDX-License-Identifier: Apache-2.0
//
// One swap of requests and events a step.
#include "runtime/serve/Engine.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace fairy2::serve {

Engine::Engine(Session &session, const SlotLimits &limits,
               std::function<void(StepReport)> sink)
    : scheduler(session, limits), sink(std::move(sink)) {}

GenerationOptions Engine::watched(GenerationOptions options, Job &job,
                                  size_t choice) {
  options.owner = job.owner;
  options.interrupted = &job.isCancelled;
  options.paused = &job.isPaused;
  options.onText = [this, id = job.id, choice](std::string_view piece) {
    eventOf(id, choice).text += piece;
  };
  if (options.logprobs)
    options.onScore = [this, id = job.id, choice](const TokenScore &score) {
      eventOf(id, choice).scores.push_back(score);
    };
  return options;
}

void Engine::add(std::shared_ptr<Job> job) {
  {
    const std::lock_guard lock(mutex);
    added.push_back(std::move(job));
  }
  changed.notify_one();
}

void Engine::wake() {
  {
    const std::lock_guard lock(mutex);
    isWoken = true;
  }
  changed.notify_one();
}

void Engine::stop() {
  {
    const std::lock_guard lock(mutex);
    isStopping = true;
  }
  changed.notify_one();
}

void Engine::run() {
  while (true) {
    std::vector<std::shared_ptr<Job>> jobs;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [this] {
        return isStopping || isWoken || !added.empty() ||
               scheduler.canAdvance();
      });
      if (isStopping)
        return;
      isWoken = false;
      jobs = std::exchange(added, {});
    }
    begin(std::move(jobs));
    const auto begin = std::chrono::steady_clock::now();
    scheduler.step();
    const std::chrono::duration<double> took =
        std::chrono::steady_clock::now() - begin;
    tellEnds();
    runningSequences = scheduler.running();
    waitingSequences = scheduler.waiting();
    heldPositions = scheduler.positions().held;
    reservedPositions = scheduler.positions().reserved;
    sink({std::exchange(events, {}), took.count()});
  }
}

void Engine::begin(std::vector<std::shared_ptr<Job>> jobs) {
  for (const std::shared_ptr<Job> &job : jobs)
    for (size_t i = 0; i < job->sequences.size(); ++i) {
      scheduler.add(job->sequences[i]);
      live.push_back({job, i});
    }
}

Event &Engine::eventOf(uint64_t job, size_t choice) {
  for (Event &event : events)
    if (event.job == job && event.choice == choice)
      return event;
  return events.emplace_back(Event{job, choice});
}

void Engine::tellEnds() {
  for (const Live &one : live) {
    const Sequence &sequence = *one.job->sequences[one.choice];
    if (!sequence.isFinished())
      continue;
    Event &event = eventOf(one.job->id, one.choice);
    try {
      const Generation result = sequence.result();
      event.reason = result.reason;
      event.generatedTokens = result.ids.size();
      event.cachedTokens = result.cachedTokens;
    } catch (...) {
      event.failure = std::current_exception();
    }
  }
  std::erase_if(live, [](const Live &one) {
    return one.job->sequences[one.choice]->isFinished();
  });
}

} // namespace fairy2::serve
