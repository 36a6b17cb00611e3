// SPDX-License-Identifier: Apache-2.0
//
// Asks CPUID for vendor, family and model.
#include "runtime/CpuModel.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fairy2 {

CpuModel cpuModel() {
  CpuModel result;
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(0, &eax, &ebx, &ecx, &edx))
    for (const unsigned part : {ebx, edx, ecx})
      result.vendor.append(reinterpret_cast<const char *>(&part), 4);
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
    // The extended fields count where the short one is full (Intel's manual,
    // CPUID; AMD's agrees).
    const int family = int(eax >> 8 & 15), model = int(eax >> 4 & 15);
    const bool isFull = family == 15, isSix = family == 6;
    result.family = isFull ? family + int(eax >> 20 & 255) : family;
    result.model = isFull || isSix ? model + (int(eax >> 16 & 15) << 4) : model;
  }
#endif
  return result;
}

} // namespace fairy2
