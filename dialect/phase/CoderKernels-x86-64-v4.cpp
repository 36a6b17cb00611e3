// SPDX-License-Identifier: Apache-2.0
//
// The coder's loops for x86-64-v4; CMakeLists.txt gives the -march.
#define FAIRY2_CODER_NAME "x86-64-v4"
#define FAIRY2_CODER_TABLE kCoderKernelsX86_64_v4
#include "dialect/phase/CoderKernels.inc"
