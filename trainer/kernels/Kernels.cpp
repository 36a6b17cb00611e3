// SPDX-License-Identifier: Apache-2.0
//
// Picks the kernels by what the machine can run.
#include "trainer/kernels/Kernels.h"

#include <array>

namespace fairy2::trainer {

extern const Kernels kKernelsX86_64_v2;
extern const Kernels kKernelsX86_64_v3;
extern const Kernels kKernelsX86_64_v4;

const Kernels *const *runnableKernels(int &count) {
  static const std::array<const Kernels *, 3> all = {
      &kKernelsX86_64_v2, &kKernelsX86_64_v3, &kKernelsX86_64_v4};
  count = 1;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    count = 2;
  if (count == 2 && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    count = 3;
  return all.data();
}

const Kernels &kernels() {
  static const Kernels &best = []() -> const Kernels & {
    int count;
    const Kernels *const *all = runnableKernels(count);
    return *all[count - 1];
  }();
  return best;
}

} // namespace fairy2::trainer
