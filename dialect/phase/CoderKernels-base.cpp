// SPDX-License-Identifier: Apache-2.0
//
// The coder's loops for any machine.
#define FAIRY2_CODER_NAME "base"
#define FAIRY2_CODER_TABLE kCoderKernelsBase
#include "dialect/phase/CoderKernels.inc"
