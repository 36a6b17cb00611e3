// SPDX-License-Identifier: Apache-2.0
//
// Our table of CPU features against the compiler's own.
#include "runtime/CpuFeatures.h"

#include <gtest/gtest.h>

using namespace fairy2;

namespace {

TEST(CpuFeaturesTest, AgreesWithTheCompilersView) {
  EXPECT_FALSE(cpuHasFeature("no-such-feature"));
  EXPECT_FALSE(cpuHasFeature(""));
  // Tiles: known on every machine, there on few.
  for (const char *name : {"amx-tile", "amx-int8", "amx-bf16", "amx-fp16"})
    EXPECT_TRUE(isKnownCpuFeature("x86-64", name)) << name;
  if (cpuHasFeature("amx-int8"))
    EXPECT_TRUE(cpuHasFeature("amx-tile"));
#if defined(__x86_64__)
  __builtin_cpu_init();
  EXPECT_TRUE(cpuHasFeature("sse2"));
  EXPECT_TRUE(cpuHasFeature("64bit"));
#define EXPECT_SAME(OURS, THEIRS)                                              \
  EXPECT_EQ(cpuHasFeature(OURS), __builtin_cpu_supports(THEIRS) != 0) << OURS
  EXPECT_SAME("ssse3", "ssse3");
  EXPECT_SAME("sse4.2", "sse4.2");
  EXPECT_SAME("popcnt", "popcnt");
  EXPECT_SAME("avx", "avx");
  EXPECT_SAME("avx2", "avx2");
  EXPECT_SAME("fma", "fma");
  EXPECT_SAME("bmi", "bmi");
  EXPECT_SAME("bmi2", "bmi2");
  EXPECT_SAME("avx512f", "avx512f");
  EXPECT_SAME("avx512bw", "avx512bw");
  EXPECT_SAME("avx512cd", "avx512cd");
  EXPECT_SAME("avx512dq", "avx512dq");
  EXPECT_SAME("avx512vl", "avx512vl");
  EXPECT_SAME("avx512vbmi", "avx512vbmi");
  EXPECT_SAME("avx512vbmi2", "avx512vbmi2");
  EXPECT_SAME("avx512vnni", "avx512vnni");
  EXPECT_SAME("avx512bitalg", "avx512bitalg");
  EXPECT_SAME("avx512vpopcntdq", "avx512vpopcntdq");
  EXPECT_SAME("avx512bf16", "avx512bf16");
  EXPECT_SAME("gfni", "gfni");
  EXPECT_SAME("avxvnni", "avxvnni");
  EXPECT_SAME("avxvnniint8", "avxvnniint8");
  EXPECT_SAME("avxvnniint16", "avxvnniint16");
  EXPECT_SAME("avxifma", "avxifma");
  EXPECT_SAME("avxneconvert", "avxneconvert");
  EXPECT_SAME("avx512fp16", "avx512fp16");
#undef EXPECT_SAME
#elif defined(__aarch64__)
  EXPECT_TRUE(cpuHasFeature("neon"));
#endif
}

} // namespace
