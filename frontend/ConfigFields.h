// SPDX-License-Identifier: Apache-2.0
//
// Every field of config.json is read, harmless, or an error that names it.
#pragma once

#include "frontend/Architectures.h"
#include "runtime/support/Json.h"

namespace fairy2 {

/// Throws Error at the first field that `architecture` does not ask and that
/// changes the computation of some model, or may do so for all we know.
void checkFields(const JsonObject &config, const Architecture &architecture);

} // namespace fairy2
