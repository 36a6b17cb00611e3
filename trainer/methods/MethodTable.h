// SPDX-License-Identifier: Apache-2.0
//
// The makers of all methods, one line per file of this folder.
#pragma once

#include "trainer/methods/Methods.h"

namespace fairy2 {

/// Complex phases in `stages` residual stages: dialect/Phase's quantizer.
std::unique_ptr<Method> makeComplexPhase(int stages);
/// One bit: the sign around the mean.
std::unique_ptr<Method> makeBitNet();
/// -1, 0 or 1 times one scale: BitNet b1.58.
std::unique_ptr<Method> makeTernary();
/// Two stages of signs.
std::unique_ptr<Method> makeTwoSigns();
/// Two bits: four even levels.
std::unique_ptr<Method> makeFourLevels();

} // namespace fairy2
