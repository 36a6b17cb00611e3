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
  int threads() const { return levels[tried].threads; }
  /// How long that pass took, per unit of work.
  void took(double seconds);

private:
  struct Level {
    int threads;
    double seconds = 0; ///< of a pass; 0: not known
  };
  void judge();
  void lengthenPause();
  /// Seconds of a pass with fewer threads, as far as known; 0: not.
  double bestOfFewer() const;
  void tryAnother();
  void moveTo(size_t level);

  std::vector<Level> levels; ///< 1, 2, 4, .. and the most
  size_t level;              ///< in use
  size_t tried;              ///< of the next pass: `level`, or one beside it
  int passes = 0;            ///< since the last try, or of it
  double elapsed = 0;        ///< in these passes
  double first = 0;          ///< of the first of them
  double lost = 0;           ///< lately, against the level below
  double pause;              ///< seconds until the next try
  size_t turn = 2;           ///< which candidate was tried last
};

} // namespace fairy2
