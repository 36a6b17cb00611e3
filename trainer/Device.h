// SPDX-License-Identifier: Apache-2.0
//
// Where a run keeps its tensors and computes: the CPU, or a CUDA GPU through
// the plugin libfairy2_cuda.so.
#pragma once

#include "trainer/kernels/DeviceKernels.h"

#include <ATen/core/Tensor.h>

#include <string>

namespace fairy2::trainer {

struct CudaPlugin;

/// The device that train.device names, cpu or cuda, ready for use by this
/// process. With cuda, a process takes the GPU of its rank among those of its
/// machine (Communicator::localRankFromEnvironment). Throws Error when the
/// plugin, a library that it needs, or the GPU is missing.
at::Device openDevice(const std::string &name, int64_t localRank);

/// The plugin; there once openDevice() has given a GPU.
const CudaPlugin &cudaPlugin();

/// The kernels for tensors on a device of this type; null where the CPU's own
/// loops (kernels/Kernels.h) work.
const DeviceKernels *deviceKernels(at::DeviceType type);
inline const DeviceKernels *deviceKernels(const at::Tensor &tensor) {
  return deviceKernels(tensor.device().type());
}
/// Sets them; null takes them away. Not while others compute.
void setDeviceKernels(at::DeviceType type, const DeviceKernels *kernels);

} // namespace fairy2::trainer
