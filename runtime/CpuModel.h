// SPDX-License-Identifier: Apache-2.0
//
// Which CPU this is, for what depends on a design and not on its features.
#pragma once

#include <string>

namespace fairy2 {

/// As CPUID numbers x86 CPUs; empty and 0 elsewhere.
struct CpuModel {
  std::string vendor; ///< "AuthenticAMD", "GenuineIntel"
  int family = 0, model = 0;
};

CpuModel cpuModel();

} // namespace fairy2
