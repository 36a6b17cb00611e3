// SPDX-License-Identifier: Apache-2.0
//
// Binary stages: s_t = s 2^(T-1-t), one s for U and W, re and im. Coding is
// then rounding of four reals per complex entry (PhaseFormulas.h), and what is
// left to find are s and the factors of rows. Plain C++.
#pragma once

#include "dialect/phase/Phase.h"

namespace fairy2 {

/// quantizePhases() for stages that are binary: fills `q`, whose extents,
/// scheme and, where they are given, row factors are set. `derivesFactors` says
/// that they are not. `error` may be null.
void quantizeBinaryStages(PhaseMatrix &q, const RowReader &readRows,
                          const std::string &name,
                          const ParallelFor &parallelFor, bool derivesFactors,
                          QuantizationError *error);

} // namespace fairy2
