// SPDX-License-Identifier: Apache-2.0
//
// The makers of all methods, one line per file of this folder.
#pragma once

#include "dialect/phase/Phase.h"
#include "dialect/phase/Signs.h"
#include "trainer/methods/Methods.h"

namespace fairy2::trainer {

/// Complex phases: dialect/phase's quantizer.
std::unique_ptr<Method> makeComplexPhase(PhaseScheme scheme);

/// Phases before they have hardened; `temperature` is above 0.
std::unique_ptr<Method> makeSoftPhases(PhaseScheme scheme, double temperature);

/// Real signs: dialect/phase/Signs' quantizers, with scales per matrix or row.
std::unique_ptr<Method> makeSigns(SignScheme scheme);

} // namespace fairy2::trainer
