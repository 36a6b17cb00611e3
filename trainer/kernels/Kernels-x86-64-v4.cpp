// SPDX-License-Identifier: Apache-2.0
//
// The kernels for x86-64-v4; CMakeLists.txt gives the -march.
#define FAIRY2_KERNELS_NAME "x86-64-v4"
#define FAIRY2_KERNELS_TABLE kKernelsX86_64_v4
#include "trainer/kernels/Kernels.inc"
