// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trainer/quantize/StagePlan.h"

#include <CLI/CLI.hpp>

#include <vector>

namespace fairy2 {

/// --stages-for=REGEX=T and --keep=REGEX. Both may be given several times; for
/// a matrix that several match the last one counts.
void addStagesFor(CLI::App &app, std::vector<trainer::StagesFor> &choices);

} // namespace fairy2
