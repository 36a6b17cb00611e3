// SPDX-License-Identifier: Apache-2.0
//
// What a run's result depends on, as one SHA-256: recipe, program, model,
// tokenizer and data.
#pragma once

#include "trainer/run/Recipe.h"

#include <string>

namespace fairy2::trainer {

/// The fingerprint of a run of that many processes, in hexadecimal. Keys that
/// do not change the result (output, how often to save and to validate, how a
/// step's sequences and the weights are divided) do not count. Throws Error
/// when a file cannot be read.
std::string fingerprintOf(const Recipe &recipe, int processes);

} // namespace fairy2::trainer
