// SPDX-License-Identifier: Apache-2.0
//
// The makers of all methods, one line per file of this folder.
#pragma once

#include "dialect/Phase.h"
#include "trainer/methods/Methods.h"

namespace fairy2 {

/// Complex phases: dialect/Phase's quantizer.
std::unique_ptr<Method> makeComplexPhase(PhaseScheme scheme);

// Quantizers of real numbers, with scales per matrix or per row.

/// One bit: the sign around the mean.
std::unique_ptr<Method> makeBitNet(bool perRow);
/// -1, 0 or 1 times one scale: BitNet b1.58.
std::unique_ptr<Method> makeTernary(bool perRow);
/// Two stages of signs.
std::unique_ptr<Method> makeTwoSigns(bool perRow);
/// Two bits: four even levels.
std::unique_ptr<Method> makeFourLevels(bool perRow);

} // namespace fairy2
