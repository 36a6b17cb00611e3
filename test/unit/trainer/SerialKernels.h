// SPDX-License-Identifier: Apache-2.0
//
// The CUDA kernels' bodies on the CPU, block after block and thread after
// thread, with the device's order of sums.
#pragma once

#include "trainer/kernels/DeviceKernels.h"

namespace fairy2::trainer {

extern const DeviceKernels kSerialKernels;

} // namespace fairy2::trainer
