// SPDX-License-Identifier: Apache-2.0
//
// The int8 grid of stage scales: one unit u per matrix (or tile) and integers
// c, with scales c u. The real matrix over its factors and u is then a matrix
// of signed bytes. Plain C++.
#pragma once

#include "dialect/phase/Phase.h"

namespace fairy2 {

/// The largest magnitude that an entry of the real matrix may have, over the
/// unit: the sum over stages of the larger integer of U and the larger of W.
int largestGridEntry(std::span<const AxisIntegers> integers);

/// What is wrong with a unit and the integers of all sets that somebody stored
/// ("expected .., found .."), or "".
std::string gridFault(float unit, std::span<const AxisIntegers> integers,
                      StageScales stageScales);

/// Writes the scales that the units and integers of a matrix stand for.
void setGridScales(PhaseMatrix &matrix);

/// Puts the scales of a matrix on the int8 grid, tile by tile: the unit is
/// searched upwards from the smallest that keeps entries within
/// kLargestGridEntry to twice that, for the least sum of (scale - c u)^2 with
/// c = max(1, round(scale / u)).
void roundScalesToGrid(PhaseMatrix &matrix);

} // namespace fairy2
