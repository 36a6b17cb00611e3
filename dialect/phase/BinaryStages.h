// SPDX-License-Identifier: Apache-2.0
//
// Binary stages: s_t = s 2^(T-1-t), one s for U and W, re and im. Coding is
// then rounding of four reals per complex entry (PhaseFormulas.h), and what is
// left to find are s and the factors of rows. Plain C++.
#pragma once

#include "dialect/phase/Phase.h"

#include <array>

namespace fairy2 {

/// Half of the best uniform step for a unit normal, by the number of stages.
inline constexpr std::array<float, kMaxStages> kNormalUnits = {
    0.7979f, 0.49785f, 0.293f, 0.1676f, 0.09405f, 0.05205f, 0.02845f, 0.0154f};

/// What is tried, as multiples of a root mean square. Heavy tails need the
/// large ones: a row with one giant weight is ruined when that is clipped.
inline constexpr std::array<float, 17> kScaleMultiples = {
    1,    0.6f, 0.7f, 0.8f, 0.9f, 1.15f, 1.3f, 1.5f, 1.8f,
    2.2f, 2.8f, 3.5f, 4.5f, 6,    8,     11,   15};

/// Sets the codes of complex row i from the levels (PhaseFormulas.h) of r0 ..
/// r3, [4][m].
void setRowCodes(PhaseMatrix &q, int64_t i, const uint8_t *levels);

/// Sets scales, and on the int8 grid units and integers, from the unit of every
/// tile.
void setBinaryScales(PhaseMatrix &q, std::span<const float> units);

/// quantizePhases() for stages that are binary: fills `q`, whose extents,
/// scheme and, where they are given, row factors are set. `derivesFactors` says
/// that they are not. `error` may be null.
void quantizeBinaryStages(PhaseMatrix &q, const RowReader &readRows,
                          const std::string &name,
                          const ParallelFor &parallelFor, bool derivesFactors,
                          QuantizationError *error);

} // namespace fairy2
