// SPDX-License-Identifier: Apache-2.0
//
// The kernels for x86-64-v2; CMakeLists.txt gives the -march.
#define FAIRY2_KERNELS_NAME "x86-64-v2"
#define FAIRY2_KERNELS_TABLE kKernelsX86_64_v2
#include "trainer/kernels/Kernels.inc"
