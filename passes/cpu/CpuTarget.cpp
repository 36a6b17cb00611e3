// SPDX-License-Identifier: Apache-2.0
//
// The table of levels, best first, and what a level's kernels may use.
#include "passes/cpu/CpuTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

namespace fairy2 {

static constexpr llvm::StringLiteral kX86 = "x86_64-unknown-linux-gnu";
static constexpr llvm::StringLiteral kArm = "aarch64-unknown-linux-gnu";

llvm::ArrayRef<CpuTarget> cpuTargets() {
  static const CpuTarget targets[] = {
      {"x86-64-v4-vnni", kX86, "x86-64-v4", "+avx512vbmi,+avx512vnni",
       "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512vbmi,avx512vnni,"
       "avx2,fma,bmi,bmi2,f16c,lzcnt,movbe",
       LookupForm::Quad, 64, 4},
      {"x86-64-v4", kX86, "x86-64-v4", "",
       "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi,bmi2,f16c,"
       "lzcnt,movbe",
       LookupForm::Lane, 64, 4},
      {"x86-64-v3-vnni", kX86, "x86-64-v3", "+avxvnni",
       "avxvnni,avx2,fma,bmi,bmi2,f16c,lzcnt,movbe", LookupForm::Lane, 32, 4},
      {"x86-64-v3", kX86, "x86-64-v3", "", "avx2,fma,bmi,bmi2,f16c,lzcnt,movbe",
       LookupForm::Lane, 32, 4},
      {"x86-64-v2", kX86, "x86-64-v2", "", "ssse3,sse4.1,sse4.2,popcnt",
       LookupForm::Lane, 16},
      {"aarch64-dotprod", kArm, "generic", "+neon,+dotprod", "neon,dotprod",
       LookupForm::Lane, 16, 4},
      {"aarch64-neon", kArm, "generic", "+neon", "neon", LookupForm::Lane, 16},
      {"scalar", kX86, "x86-64-v2", "", "ssse3,sse4.1,sse4.2,popcnt",
       LookupForm::Scalar, 16},
  };
  return targets;
}

const char *nameOf(LookupForm form) {
  switch (form) {
  case LookupForm::Scalar:
    return "scalar";
  case LookupForm::Quad:
    return "quad";
  case LookupForm::Lane:
    return "lane";
  }
  llvm_unreachable("all forms are handled");
}

const CpuTarget *findCpuTarget(llvm::StringRef name) {
  for (const CpuTarget &target : cpuTargets())
    if (target.name == name)
      return &target;
  return nullptr;
}

const CpuTarget *requireCpuTarget(mlir::Operation *op, llvm::StringRef name) {
  const CpuTarget *target = findCpuTarget(name);
  if (!target)
    op->emitError("expected a cpu of ")
        << cpuTargetNames() << ", found '" << name << "'";
  return target;
}

std::string cpuTargetNames() {
  return llvm::join(
      llvm::map_range(cpuTargets(),
                      [](const CpuTarget &t) { return t.name.str(); }),
      ", ");
}

std::string CpuTarget::symbolSuffix() const {
  std::string suffix = name.str();
  llvm::replace(suffix, '-', '_');
  return suffix;
}

const CpuTarget::Dot4 *CpuTarget::dot4() const {
  static const Dot4 instructions[] = {
      {"+avx512vnni", "llvm.x86.avx512.vpdpbusd.512", 64, false},
      {"+avxvnni", "llvm.x86.avx512.vpdpbusd.256", 32, false},
      {"+dotprod", "llvm.aarch64.neon.sdot.v4i32.v16i8", 16, true},
  };
  for (const Dot4 &dot4 : instructions)
    if (features.contains(dot4.feature))
      return &dot4;
  return nullptr;
}

bool CpuTarget::convertsHalves() const {
  return machine() == "aarch64" || required.contains("f16c");
}

llvm::StringRef CpuTarget::machine() const {
  return triple.starts_with("x86_64") ? "x86-64" : "aarch64";
}

} // namespace fairy2
