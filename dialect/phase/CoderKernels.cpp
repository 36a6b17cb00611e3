// SPDX-License-Identifier: Apache-2.0
//
// Picks the kernels by what the machine can run.
#include "dialect/phase/CoderKernels.h"

#include <array>

namespace fairy2 {

extern const CoderKernels kCoderKernelsBase;

#if defined(__x86_64__)
extern const CoderKernels kCoderKernelsX86_64_v3;
extern const CoderKernels kCoderKernelsX86_64_v4;

const CoderKernels *const *runnableCoderKernels(int &count) {
  static const std::array<const CoderKernels *, 3> all = {
      &kCoderKernelsBase, &kCoderKernelsX86_64_v3, &kCoderKernelsX86_64_v4};
  count = __builtin_cpu_supports("x86-64-v4")   ? 3
          : __builtin_cpu_supports("x86-64-v3") ? 2
                                                : 1;
  return all.data();
}
#else
const CoderKernels *const *runnableCoderKernels(int &count) {
  static const std::array<const CoderKernels *, 1> all = {&kCoderKernelsBase};
  count = 1;
  return all.data();
}
#endif

const CoderKernels &coderKernels() {
  static const CoderKernels &best = []() -> const CoderKernels & {
    int count;
    const CoderKernels *const *all = runnableCoderKernels(count);
    return *all[count - 1];
  }();
  return best;
}

} // namespace fairy2
