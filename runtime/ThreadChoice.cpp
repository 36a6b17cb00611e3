// SPDX-License-Identifier: Apache-2.0
//
// Tries other numbers of threads now and then, seldom when that
// keeps failing, and gives up threads as soon as their loss adds up.
#include "runtime/ThreadChoice.h"

#include <algorithm>
#include <iterator>

namespace fairy2 {
namespace {

/// Seconds between tries: short enough to notice that a neighbour has gone, and
/// so long, when tries fail, that they cost nothing. A failed try on a
/// contested core costs a time slice of some milliseconds.
constexpr double kShortestPause = 0.1, kLongestPause = 5;
/// And passes, for models whose pass takes long.
constexpr int kPassesBetweenTries = 32;
/// Before the first look at fewer threads.
constexpr int kPassesAtFirst = 8;
/// The first pass of a try wakes a thread and does not count.
constexpr int kPassesOfATry = 3;
/// A try that is this much worse ends at once.
constexpr double kHopeless = 4;
/// What must be gained to change, more than the noise between two passes.
constexpr double kGain = 0.95;
/// Threads are given up when this is lost: seconds, and passes with fewer.
constexpr double kMostLost = 3e-3, kMostLostPasses = 2;
/// So many times that may have been gained before and is lost first, since
/// other programs disturb a pass now and then whatever its threads.
constexpr double kCredit = 3;
/// Passes in the running mean of a level.
constexpr int kMemory = 16;

} // namespace

ThreadChoice::ThreadChoice(int most) : pause(kShortestPause) {
  for (int threads = 1; threads < most; threads *= 2)
    levels.push_back({threads});
  levels.push_back({std::max(most, 1)});
  level = tried = levels.size() - 1;
}

void ThreadChoice::took(double seconds) {
  if (levels.size() == 1)
    return;
  elapsed += seconds;
  if (++passes == 1)
    first = seconds;
  if (tried != level) {
    // More threads must be woken first.
    const int wanted = tried > level ? kPassesOfATry : 1;
    if (passes == wanted || elapsed > kHopeless * levels[level].seconds)
      judge();
    return;
  }
  Level &now = levels[level];
  // The first passes bring pages in.
  if (now.seconds == 0 && passes < 3)
    return;
  now.seconds += (seconds - now.seconds) /
                 (now.seconds == 0 ? 1 : std::min(passes, kMemory));
  const double fewer = bestOfFewer();
  if (fewer > 0) {
    const double most = std::max(kMostLost, kMostLostPasses * fewer);
    lost = std::max(-kCredit * most, lost + seconds - fewer);
    if (lost > most) {
      lengthenPause();
      return moveTo(levels[0].seconds == fewer ? 0 : level - 1);
    }
  }
  const double pauses = pause / kShortestPause;
  if (level > 0 && fewer == 0
          ? passes >= kPassesAtFirst
          : elapsed >= pause && passes >= kPassesBetweenTries * pauses)
    tryAnother();
}

double ThreadChoice::bestOfFewer() const {
  if (level == 0)
    return 0;
  const double one = levels[0].seconds, next = levels[level - 1].seconds;
  return one > 0 && next > 0 ? std::min(one, next) : std::max(one, next);
}

void ThreadChoice::lengthenPause() {
  pause = std::min(2 * pause, kLongestPause);
}

/// In turn: the next lower number, one thread, the next higher number.
void ThreadChoice::tryAnother() {
  const size_t candidates[] = {level > 0 ? level - 1 : level, 0, level + 1};
  do {
    turn = (turn + 1) % std::size(candidates);
    tried = candidates[turn];
  } while (tried == level || tried == levels.size());
  passes = 0;
  elapsed = 0;
}

void ThreadChoice::judge() {
  levels[tried].seconds =
      passes > 1 ? (elapsed - first) / (passes - 1) : elapsed;
  const bool isBetter = levels[tried].seconds < kGain * levels[level].seconds;
  if (isBetter)
    pause = kShortestPause;
  else
    lengthenPause();
  moveTo(isBetter ? tried : level);
}

void ThreadChoice::moveTo(size_t newLevel) {
  if (newLevel != level)
    lost = 0;
  level = tried = newLevel;
  passes = 0;
  elapsed = 0;
}

} // namespace fairy2
