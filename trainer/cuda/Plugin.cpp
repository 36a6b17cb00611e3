// SPDX-License-Identifier: Apache-2.0
//
// The side of the plugin that knows LibTorch: streams, devices and NCCL.
#include "trainer/cuda/Plugin.h"

#include "trainer/cuda/Kernels.h"

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

namespace fairy2::trainer {
namespace {

/// Starts calls on the current stream.
struct Starter {
  template <typename Call> static void start(const Call &call) {
    C10_CUDA_CHECK(static_cast<cudaError_t>(
        startOnCuda(call, c10::cuda::getCurrentCUDAStream().stream())));
  }
};

constexpr DeviceKernels kKernels = deviceKernelsOf<Starter>();

c10::intrusive_ptr<c10d::Backend>
makeNccl(const c10::intrusive_ptr<c10d::Store> &store, int rank, int size,
         std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size,
                                                     options);
}

constexpr CudaPlugin kPlugin = {
    CudaPlugin::kVersion,
    [] { return int(c10::cuda::device_count()); },
    [](int device) { c10::cuda::set_device(c10::DeviceIndex(device)); },
    &kKernels,
    makeNccl,
};

} // namespace
} // namespace fairy2::trainer

using fairy2::trainer::CudaPlugin;

extern "C" __attribute__((visibility("default"))) const CudaPlugin *
fairy2CudaPlugin() {
  return &fairy2::trainer::kPlugin;
}
