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

/// What is said of a field that nobody here has heard of.
inline constexpr char kUnknownField[] =
    "is not known, so it might change the computation; if it does not, remove "
    "it, or have it read past with --allow-unknown-fields";

/// Throws Error at the first field that nobody has asked `config` for and that
/// changes the computation of some model. One that may do so for all we know is
/// an error too, or, where that is allowed, among those returned. To be called
/// when all has been read: what was read is what is known.
std::vector<std::string> checkFields(const JsonObject &config,
                                     const Architecture &architecture,
                                     bool allowsUnknown);

} // namespace fairy2
