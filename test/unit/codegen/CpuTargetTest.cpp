// SPDX-License-Identifier: Apache-2.0
//
// The rows of passes/cpu/CpuTarget.cpp against what the runtime can tell and
// what LLVM takes for granted: a slip there is a level that is never chosen, or
// one that is chosen where it cannot run.
#include "passes/cpu/CpuTarget.h"
#include "runtime/CpuFeatures.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/X86TargetParser.h"

#include <gtest/gtest.h>

#include <set>

using namespace fairy2;

namespace {

TEST(CpuTargetTest, TheRuntimeKnowsEveryRequiredFeature) {
  for (const CpuTarget &target : cpuTargets()) {
    EXPECT_FALSE(target.required.empty()) << target.name.str();
    for (llvm::StringRef feature : llvm::split(target.required, ','))
      EXPECT_TRUE(isKnownCpuFeature(target.machine(), feature))
          << target.name.str() << " requires " << feature.str();
  }
  EXPECT_FALSE(isKnownCpuFeature("x86-64", "neon"));
  EXPECT_FALSE(isKnownCpuFeature("aarch64", "avx2"));
  EXPECT_FALSE(isKnownCpuFeature("riscv64", "v"));
}

/// What a CPU with `feature` has as well.
void addWithImplied(llvm::StringRef feature, std::set<std::string> &features) {
  llvm::StringMap<bool> all;
  all[feature] = true;
  llvm::X86::updateImpliedFeatures(feature, true, all);
  for (const auto &entry : all)
    if (entry.getValue())
      features.insert(entry.getKey().str());
}

TEST(CpuTargetTest, WhatLlvmMayUseIsRequired) {
  for (const CpuTarget &target : cpuTargets()) {
    if (target.machine() != "x86-64")
      continue;
    // Every 64-bit x86, and what no CPU has left out since SSE4.2.
    std::set<std::string> found = {"64bit", "x87",   "cx8",    "cmov", "fxsr",
                                   "mmx",   "sse",   "sse2",   "cx16", "sahf",
                                   "crc32", "xsave", "popcnt", "sse3"};
    for (llvm::StringRef feature : llvm::split(target.required, ','))
      addWithImplied(feature, found);
    llvm::SmallVector<llvm::StringRef> enabled;
    llvm::X86::getFeaturesForCPU(target.llvmCpu, enabled);
    for (llvm::StringRef feature : llvm::split(target.features, ','))
      if (feature.consume_front("+"))
        enabled.push_back(feature);
    EXPECT_GE(enabled.size(), 10u) << target.name.str();
    for (llvm::StringRef feature : enabled)
      EXPECT_TRUE(found.count(feature.str()))
          << target.name.str() << " does not require " << feature.str();
  }
}

} // namespace
