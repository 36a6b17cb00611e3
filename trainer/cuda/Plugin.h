// SPDX-License-Identifier: Apache-2.0
//
// What libfairy2_cuda.so gives to fairy2-train, which loads it at run time and
// links nothing of CUDA itself. Loading it also loads libtorch_cuda, whose
// operators ATen then finds.
#pragma once

#include "trainer/kernels/DeviceKernels.h"

#include <c10/util/intrusive_ptr.h>

#include <chrono>

namespace c10d {
class Backend;
class Store;
} // namespace c10d

namespace fairy2::trainer {

struct CudaPlugin {
  /// Of this struct and DeviceKernels.h; program and plugin must be of one
  /// build.
  static constexpr int kVersion = 2;

  int version;
  int (*deviceCount)(); ///< 0 also where there is no driver
  void (*setDevice)(int device);
  const DeviceKernels *kernels;
  /// NCCL between `size` ranks that meet at `store`, on the current device.
  c10::intrusive_ptr<c10d::Backend> (*makeNccl)(
      const c10::intrusive_ptr<c10d::Store> &store, int rank, int size,
      std::chrono::milliseconds timeout);
};

/// The plugin's one symbol, of this type.
using GetCudaPlugin = const CudaPlugin *(*)();
constexpr const char *kCudaPluginSymbol = "fairy2CudaPlugin";

} // namespace fairy2::trainer
