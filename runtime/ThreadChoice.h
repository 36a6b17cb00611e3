// SPDX-License-Identifier: Apache-2.0
//
// How many threads a kind of work uses, chosen by what it takes: more threads
// cost barriers, and a barrier costs time slices when a neighbour has a core.
// Knows no clock and no threads, only the seconds it is told.
#pragma once

#include <cstddef>
#include <vector>

namespace fairy2 {

class ThreadChoice {
public:
  /// From 1 to `most` threads, beginning with all.
  explicit ThreadChoice(int most);

  /// How many threads the next pass should use.
  int threads() const {
    return levels[phase == Phase::Trying ? tried : level].threads;
  }
  /// How long that pass took, per unit of work.
  void took(double seconds);

private:
  struct Level {
    int threads;
    double seconds = 0; ///< of a pass; 0: not known
  };
  enum class Phase { Using, Trying, Confirming };
  static constexpr size_t kTurns = 3;
  /// Seconds of a pass with fewer threads, as far as known; 0: not.
  double bestOfFewer() const;
  size_t nextToTry();
  void begin(Phase newPhase);
  void beginTry(size_t newTry);
  void judge();
  void settle(bool isBetter);

  std::vector<Level> levels; ///< 1, 2, 4, .. and the most
  size_t level;              ///< in use
  size_t tried = 0;          ///< its rival, while there is one
  Phase phase = Phase::Using;
  int passes = 0;         ///< of this phase
  double elapsed = 0;     ///< in these passes
  double first = 0;       ///< of the first of them
  double lost = 0;        ///< lately, against fewer threads
  bool isInDoubt = false; ///< whether that is why fewer are tried
  /// Seconds until the next try.
  double pauseForFewer, pauseForMore;
  size_t turn = 0; ///< which candidate is tried next
};

} // namespace fairy2
