// SPDX-License-Identifier: Apache-2.0
//
// Marks functions that CUDA kernels call too. Such headers include nothing but
// C++'s own integers, and do without libm, whose results differ between host
// and device; compilers are told not to contract a * b + c there.
#pragma once

#ifdef __CUDACC__
#define FAIRY2_HOST_DEVICE __host__ __device__
#else
#define FAIRY2_HOST_DEVICE
#endif
