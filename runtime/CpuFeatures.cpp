// SPDX-License-Identifier: Apache-2.0
//
// One table per machine: LLVM's name of a feature and the bit that announces
// it. On x86-64 wide registers also need the operating system's consent (XCR0,
// and for tiles a request). Both tables are in every build, so that the
// compiler can ask for the features of the machine that it compiles for.
#include "runtime/CpuFeatures.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace fairy2 {
namespace {

enum Register { Eax, Ebx, Ecx, Edx };

/// Bits of XCR0 that the operating system sets for the registers it saves.
enum RegisterState : uint64_t {
  Sse = 0,
  Avx = 0x6,
  Avx512 = 0xe6,
  Amx = 0x60000
};

struct X86Feature {
  std::string_view name;
  uint32_t leaf, subleaf;
  Register reg;
  int bit;
  RegisterState state;
};

constexpr X86Feature kX86Features[] = {
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
    {"amx-bf16", 7, 0, Edx, 22, Amx},
    {"avx512fp16", 7, 0, Edx, 23, Avx512},
    {"amx-tile", 7, 0, Edx, 24, Amx},
    {"amx-int8", 7, 0, Edx, 25, Amx},
    {"avxvnni", 7, 1, Eax, 4, Avx},
    {"avx512bf16", 7, 1, Eax, 5, Avx512},
    {"amx-fp16", 7, 1, Eax, 21, Amx},
    {"avxifma", 7, 1, Eax, 23, Avx},
    {"avxvnniint8", 7, 1, Edx, 4, Avx},
    {"avxneconvert", 7, 1, Edx, 5, Avx},
    {"avxvnniint16", 7, 1, Edx, 10, Avx},
    {"sahf", 0x80000001, 0, Ecx, 0, Sse},
    {"lzcnt", 0x80000001, 0, Ecx, 5, Sse},
    {"64bit", 0x80000001, 0, Edx, 29, Sse},
};

constexpr uint64_t bit(int number) { return uint64_t(1) << number; }

struct ArmFeature {
  std::string_view name;
  uint64_t capabilities;  ///< bits of AT_HWCAP, part of Linux's ABI
  uint64_t capabilities2; ///< and of AT_HWCAP2
};

constexpr ArmFeature kArmFeatures[] = {
    {"fp-armv8", bit(0), 0},
    {"neon", bit(1), 0},
    {"aes", bit(3), 0},
    {"sha2", bit(6), 0},
    {"crc", bit(7), 0},
    {"lse", bit(8), 0},
    {"fullfp16", bit(9) | bit(10), 0},
    {"rdm", bit(12), 0},
    {"dotprod", bit(20), 0},
    {"sve", bit(22), 0},
    {"sve2", 0, bit(1)},
    {"i8mm", 0, bit(13)},
    {"bf16", 0, bit(14)},
    {"sme", 0, bit(23)},
};

/// Null when there is no such row.
template <typename Feature, size_t count>
const Feature *find(const Feature (&features)[count], std::string_view name) {
  const auto *found = std::find_if(
      std::begin(features), std::end(features),
      [&](const Feature &feature) { return feature.name == name; });
  return found == std::end(features) ? nullptr : found;
}

#if defined(__x86_64__)
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

/// Linux saves the registers of tiles for a process that has asked for them.
bool mayUseTiles() {
  constexpr long kRequest = 0x1023, kTileData = 18; // ARCH_REQ_XCOMP_PERM
  static const bool granted = syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  return granted;
}

bool has(const X86Feature &feature) {
  static const uint64_t saved = savedStates();
  return (saved & feature.state) == feature.state &&
         hasBit(feature.leaf, feature.subleaf, feature.reg, feature.bit) &&
         (feature.state != Amx || mayUseTiles());
}
#elif defined(__aarch64__)
bool has(const ArmFeature &feature) {
  static const uint64_t present = getauxval(AT_HWCAP);
  static const uint64_t present2 = getauxval(AT_HWCAP2);
  return (present & feature.capabilities) == feature.capabilities &&
         (present2 & feature.capabilities2) == feature.capabilities2;
}
#endif

} // namespace

bool isKnownCpuFeature(std::string_view machine, std::string_view llvmName) {
  return machine == "x86-64"    ? find(kX86Features, llvmName) != nullptr
         : machine == "aarch64" ? find(kArmFeatures, llvmName) != nullptr
                                : false;
}

bool cpuHasFeature(std::string_view llvmName) {
#if defined(__x86_64__)
  const auto *feature = find(kX86Features, llvmName);
#elif defined(__aarch64__)
  const auto *feature = find(kArmFeatures, llvmName);
#endif
  return feature && has(*feature);
}

} // namespace fairy2
