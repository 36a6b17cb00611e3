// SPDX-License-Identifier: Apache-2.0
//
// Every field of config.json is read, harmless, or an error that names it.
#pragma once

#include "frontend/Architectures.h"
#include "runtime/support/Json.h"

namespace fairy2 {

/// Throws Error where weights are quantized, or come with model code of their
/// own.
void refuseOtherPrograms(const JsonObject &config,
                         const Architecture &architecture);

/// Throws Error at the first field that nobody has asked `config` for and that
/// changes the computation of some model, or may do so for all we know. To be
/// called when all has been read: what was read is what is known.
void checkFields(const JsonObject &config, const Architecture &architecture);

} // namespace fairy2
