// SPDX-License-Identifier: Apache-2.0
//
// What Kernels.cu, which sees nothing of LibTorch, gives to Plugin.cpp.
#pragma once

#include "trainer/kernels/DeviceKernels.h"

namespace fairy2::trainer {

/// Starts the work of any of DeviceKernels' calls on `stream`, a cudaStream_t;
/// the result is the cudaError_t of the launches.
template <typename Call> int startOnCuda(const Call &call, void *stream);

} // namespace fairy2::trainer
