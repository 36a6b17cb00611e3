// SPDX-License-Identifier: Apache-2.0
//
// One table per machine: LLVM's name of a feature and the bit that announces
// it. On x86-64 wide registers also need the operating system's consent (XCR0).
#include "runtime/CpuFeatures.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace fairy2 {

#if defined(__x86_64__)
namespace {

enum Register { Eax, Ebx, Ecx, Edx };

/// Bits of XCR0 that the operating system sets for the registers it saves.
enum RegisterState : uint64_t { Sse = 0, Avx = 0x6, Avx512 = 0xe6 };

struct Feature {
  std::string_view name;
  uint32_t leaf, subleaf;
  Register reg;
  int bit;
  RegisterState state;
};

constexpr Feature kFeatures[] = {
    {"cx8", 1, 0, Edx, 8, Sse},
    {"cmov", 1, 0, Edx, 15, Sse},
    {"mmx", 1, 0, Edx, 23, Sse},
    {"fxsr", 1, 0, Edx, 24, Sse},
    {"sse", 1, 0, Edx, 25, Sse},
    {"sse2", 1, 0, Edx, 26, Sse},
    {"sse3", 1, 0, Ecx, 0, Sse},
    {"pclmul", 1, 0, Ecx, 1, Sse},
    {"ssse3", 1, 0, Ecx, 9, Sse},
    {"fma", 1, 0, Ecx, 12, Avx},
    {"cx16", 1, 0, Ecx, 13, Sse},
    {"sse4.1", 1, 0, Ecx, 19, Sse},
    {"sse4.2", 1, 0, Ecx, 20, Sse},
    {"crc32", 1, 0, Ecx, 20, Sse},
    {"movbe", 1, 0, Ecx, 22, Sse},
    {"popcnt", 1, 0, Ecx, 23, Sse},
    {"aes", 1, 0, Ecx, 25, Sse},
    {"xsave", 1, 0, Ecx, 26, Sse},
    {"avx", 1, 0, Ecx, 28, Avx},
    {"f16c", 1, 0, Ecx, 29, Avx},
    {"bmi", 7, 0, Ebx, 3, Sse},
    {"avx2", 7, 0, Ebx, 5, Avx},
    {"bmi2", 7, 0, Ebx, 8, Sse},
    {"avx512f", 7, 0, Ebx, 16, Avx512},
    {"avx512dq", 7, 0, Ebx, 17, Avx512},
    {"avx512ifma", 7, 0, Ebx, 21, Avx512},
    {"avx512cd", 7, 0, Ebx, 28, Avx512},
    {"avx512bw", 7, 0, Ebx, 30, Avx512},
    {"avx512vl", 7, 0, Ebx, 31, Avx512},
    {"avx512vbmi", 7, 0, Ecx, 1, Avx512},
    {"avx512vbmi2", 7, 0, Ecx, 6, Avx512},
    {"gfni", 7, 0, Ecx, 8, Sse},
    {"vaes", 7, 0, Ecx, 9, Avx},
    {"vpclmulqdq", 7, 0, Ecx, 10, Avx},
    {"avx512vnni", 7, 0, Ecx, 11, Avx512},
    {"avx512bitalg", 7, 0, Ecx, 12, Avx512},
    {"avx512vpopcntdq", 7, 0, Ecx, 14, Avx512},
    {"avx512fp16", 7, 0, Edx, 23, Avx512},
    {"avxvnni", 7, 1, Eax, 4, Avx},
    {"avx512bf16", 7, 1, Eax, 5, Avx512},
    {"avxvnniint8", 7, 1, Edx, 4, Avx},
    {"sahf", 0x80000001, 0, Ecx, 0, Sse},
    {"lzcnt", 0x80000001, 0, Ecx, 5, Sse},
    {"64bit", 0x80000001, 0, Edx, 29, Sse},
};

bool hasBit(uint32_t leaf, uint32_t subleaf, Register reg, int bit) {
  unsigned values[4] = {};
  // Checks the largest leaf; one beyond the largest subleaf reads as zeros.
  return __get_cpuid_count(leaf, subleaf, &values[Eax], &values[Ebx],
                           &values[Ecx], &values[Edx]) &&
         (values[reg] >> bit & 1);
}

/// The register states that the operating system saves.
uint64_t savedStates() {
  if (!hasBit(1, 0, Ecx, 27)) // OSXSAVE: xgetbv may be executed
    return 0;
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

} // namespace

bool cpuHasFeature(std::string_view llvmName) {
  static const uint64_t saved = savedStates();
  for (const Feature &feature : kFeatures)
    if (feature.name == llvmName)
      return (saved & feature.state) == feature.state &&
             hasBit(feature.leaf, feature.subleaf, feature.reg, feature.bit);
  return false;
}

#elif defined(__aarch64__)
namespace {

struct Feature {
  std::string_view name;
  uint64_t capabilities;  ///< in AT_HWCAP
  uint64_t capabilities2; ///< in AT_HWCAP2
};

constexpr Feature kFeatures[] = {
    {"fp-armv8", HWCAP_FP, 0},     {"neon", HWCAP_ASIMD, 0},
    {"aes", HWCAP_AES, 0},         {"sha2", HWCAP_SHA2, 0},
    {"crc", HWCAP_CRC32, 0},       {"lse", HWCAP_ATOMICS, 0},
    {"rdm", HWCAP_ASIMDRDM, 0},    {"fullfp16", HWCAP_FPHP | HWCAP_ASIMDHP, 0},
    {"dotprod", HWCAP_ASIMDDP, 0}, {"sve", HWCAP_SVE, 0},
    {"sve2", 0, HWCAP2_SVE2},      {"i8mm", 0, HWCAP2_I8MM},
    {"bf16", 0, HWCAP2_BF16},
};

} // namespace

bool cpuHasFeature(std::string_view llvmName) {
  static const uint64_t present = getauxval(AT_HWCAP);
  static const uint64_t present2 = getauxval(AT_HWCAP2);
  for (const Feature &feature : kFeatures)
    if (feature.name == llvmName)
      return (present & feature.capabilities) == feature.capabilities &&
             (present2 & feature.capabilities2) == feature.capabilities2;
  return false;
}
#endif

} // namespace fairy2
