// SPDX-License-Identifier: Apache-2.0
//
// Tries other numbers of threads now and then, seldom when that keeps failing,
// and at once where threads have lost time against what fewer took.
#include "runtime/ThreadChoice.h"

#include <algorithm>

namespace fairy2 {
namespace {

/// Seconds between tries: short enough to notice that a neighbour has gone, and
/// so long, when tries fail, that they cost nothing. A failed try on a
/// contested core costs a time slice of some milliseconds.
constexpr double kShortestPause = 0.1, kLongestPause = 5;
/// And passes, for models whose pass takes long; so many more when tries fail.
constexpr int kPassesBetweenTries = 32, kMostPassesBetweenTries = 128;
/// Before the first look at fewer threads.
constexpr int kPassesAtFirst = 8;
/// The first pass with more threads than before wakes them and does not count.
constexpr int kPassesOfATry = 3;
/// A try that is this much worse ends at once.
constexpr double kHopeless = 4;
/// What must be gained to change, more than the noise between two passes.
constexpr double kGain = 0.95;
/// Threads are in doubt when this is lost: seconds, and passes with fewer.
constexpr double kMostLost = 3e-3, kMostLostPasses = 2;
/// So many times that may have been gained before and is lost first, since
/// other programs disturb a pass now and then whatever its threads.
constexpr double kCredit = 3;
/// Passes in the running mean of a level.
constexpr int kMemory = 16;

} // namespace

ThreadChoice::ThreadChoice(int most)
    : pauseForFewer(kShortestPause), pauseForMore(kShortestPause) {
  for (int threads = 1; threads < most; threads *= 2)
    levels.push_back({threads});
  levels.push_back({std::max(most, 1)});
  level = levels.size() - 1;
}

void ThreadChoice::took(double seconds) {
  if (levels.size() == 1)
    return;
  elapsed += seconds;
  if (++passes == 1)
    first = seconds;
  if (phase != Phase::Using)
    return judge();
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
    // What fewer threads took may be long ago, of shorter texts: they have to
    // do better now.
    if (lost > most) {
      isInDoubt = true;
      return beginTry(levels[0].seconds == fewer ? 0 : level - 1);
    }
  }
  const size_t next = nextToTry();
  const double pause = next > level ? pauseForMore : pauseForFewer;
  const double between = std::min(kPassesBetweenTries * pause / kShortestPause,
                                  double(kMostPassesBetweenTries));
  if (level > 0 && fewer == 0 ? passes >= kPassesAtFirst
                              : elapsed >= pause && passes >= between) {
    turn = (turn + 1) % kTurns;
    beginTry(next);
  }
}

double ThreadChoice::bestOfFewer() const {
  if (level == 0)
    return 0;
  const double one = levels[0].seconds, next = levels[level - 1].seconds;
  return one > 0 && next > 0 ? std::min(one, next) : std::max(one, next);
}

/// In turn: the next lower number, one thread, the next higher number.
size_t ThreadChoice::nextToTry() {
  while (true) {
    const size_t candidates[kTurns] = {level > 0 ? level - 1 : level, 0,
                                       level + 1};
    const size_t next = candidates[turn];
    if (next != level && next != levels.size())
      return next;
    turn = (turn + 1) % kTurns;
  }
}

void ThreadChoice::begin(Phase newPhase) {
  phase = newPhase;
  passes = 0;
  elapsed = 0;
}

void ThreadChoice::beginTry(size_t newTry) {
  tried = newTry;
  begin(Phase::Trying);
}

/// A try is judged by the level's passes before, and where it wins by one
/// after it as well: texts may have become shorter meanwhile.
void ThreadChoice::judge() {
  const bool isWoken = (phase == Phase::Trying) == (tried > level);
  const bool isHopeless =
      phase == Phase::Trying && elapsed > kHopeless * levels[level].seconds;
  if (passes < (isWoken ? kPassesOfATry : 1) && !isHopeless)
    return;
  const double seconds =
      passes > 1 ? (elapsed - first) / (passes - 1) : elapsed;
  if (phase == Phase::Trying)
    levels[tried].seconds = seconds;
  // Threads in doubt have to be better to stay.
  const bool isBetter =
      levels[tried].seconds <
      (isInDoubt ? 1 : kGain) *
          (phase == Phase::Trying ? levels[level].seconds : seconds);
  if (isBetter && phase == Phase::Trying)
    return begin(Phase::Confirming);
  settle(isBetter);
}

void ThreadChoice::settle(bool isBetter) {
  const bool isMore = tried > level;
  const auto lengthen = [](double &pause) {
    pause = std::min(2 * pause, kLongestPause);
  };
  // More threads may win a try by luck, so that only holding against fewer
  // makes up for what they lost before.
  if (isBetter != isMore)
    lengthen(pauseForMore);
  if (!isBetter && !isMore) {
    lengthen(pauseForFewer);
    pauseForMore = kShortestPause;
  }
  if (isBetter && isMore)
    pauseForFewer = kShortestPause;
  if (isBetter || isInDoubt)
    lost = 0;
  if (isBetter)
    level = tried;
  isInDoubt = false;
  begin(Phase::Using);
}

} // namespace fairy2
