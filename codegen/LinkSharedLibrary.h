// SPDX-License-Identifier: Apache-2.0
//
// Objects -> one ELF shared library, by lld.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace fairy2 {

/// Links the objects and returns the library's bytes. Runs `ld.lld` directly,
/// with no shell in between. Throws Error with what lld said.
std::vector<uint8_t> linkSharedLibrary(const std::vector<std::string> &objects);

} // namespace fairy2
